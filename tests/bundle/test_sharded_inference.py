"""Inference dealt out to several processes, one of which is killed half-way."""

import json
import shutil

import pandas as pd
import pytest

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node=2")
# ends the process as a kill does, when it is about to take its second case
KILLED = {
    "+preprocessing#transforms": [
        {
            "_target_": "Lambdad",
            "keys": "image",
            "func": "$lambda x: os.kill(os.getpid(), 9) if 'pelvic_003' in x.meta['filename_or_obj'] else x",
            "track_meta": False,
        }
    ],
}


@pytest.fixture
def asked(trained, patients, tmp_path):
    """Options of an inference over five cases, the last of which cannot be read."""
    images = tmp_path / "images"
    shutil.copytree(patients / "imagesTr", images)
    (images / "pelvic_004.nii.gz").write_bytes(b"")
    return {
        **{key: trained.overrides[key] for key in ("channels", "spacing", "patch_size")},
        **trained.weights,
        "dataset_dir": str(images),
        "output_dir": str(tmp_path / "written"),
        "review_picture": False,
    }


def finished(folder):
    return {file.parent.name: file.stat().st_mtime_ns for file in folder.glob("*/*_report.json")}


def test_a_rank_killed_half_way_and_started_again(start, asked, tmp_path):
    written = tmp_path / "written"
    (tmp_path / "killed.json").write_text(json.dumps(KILLED))
    files = ("inference.json", "tasks/pelvic.json")
    process = start(tmp_path, *files, tmp_path / "killed.json", **asked, shard=1, shards=2)
    _, stderr = process.communicate(timeout=400)
    assert process.returncode == -9, stderr
    before = finished(written)
    assert list(before) == ["pelvic_001"]  # of its cases 1 and 3; rank 0's have not begun

    # all ranks again, by torchrun. Rank 0 ends with a bad case, and not before rank 1 has ended
    process = start(tmp_path, *files, launcher=TORCHRUN, **asked, skip_finished=True)
    _, stderr = process.communicate(timeout=400)
    assert process.returncode == 1
    assert "1 of 3 cases failed, the others are done" in stderr
    assert "pelvic_004" in stderr
    after = finished(written)
    assert sorted(after) == [f"pelvic_00{i}" for i in range(4)]
    assert after["pelvic_001"] == before["pelvic_001"]  # not done again
    for case in after:
        kinds = sorted(file.name for file in (written / case).iterdir())
        assert kinds == [f"{case}_{kind}" for kind in ("confidence.nii.gz", "report.json", "seg.nii.gz")]
    assert sorted(pd.read_csv(written / "summary.csv")["case"]) == sorted(after)


def test_with_nothing_left_to_do_the_summary_is_made_anew(run_here, asked, tmp_path):
    written = tmp_path / "written"
    for file in sorted((tmp_path / "images").iterdir())[1:]:
        file.unlink()
    run_here("inference.json", "tasks/pelvic.json", **asked)
    before = finished(written)
    (written / "summary.csv").unlink()
    run_here("inference.json", "tasks/pelvic.json", **asked, skip_finished=True)
    assert finished(written) == before
    assert list(before) == ["pelvic_000"]
    assert len(pd.read_csv(written / "summary.csv")) == 1


def test_bad_shard_numbers_are_one_line(error_of, asked):
    message = error_of("inference.json", "tasks/pelvic.json", **asked, shard=4, shards=4)
    assert message.startswith("shard must be one of 0..3 with --shards 4, got 4")
    message = error_of("inference.json", "tasks/pelvic.json", **asked, shards=4)
    assert message == "with --shards 4 every process needs its own --shard, one of 0..3"
