"""Which cases a process takes, and which are finished."""

import pytest

from dam_components.data import cases_to_do
from dam_components.data.shards import OUTPUTS, check_shard

CASES = [{"image": f"in/case{i}.nii.gz"} for i in range(5)]


def finish(folder, case, outputs=OUTPUTS):
    (folder / case).mkdir(exist_ok=True)
    for ending in outputs:
        (folder / case / f"{case}_{ending}").write_bytes(b"")


def numbers(*args, **options):
    return [int(case["image"][-8]) for case in cases_to_do(CASES, *args, **options)]


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_every_case_is_in_one_shard(tmp_path, shards):
    parts = [numbers(tmp_path, shard, shards) for shard in range(shards)]
    assert sorted(sum(parts, [])) == list(range(5))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert not list(tmp_path.iterdir())  # looking makes no folders


def test_without_a_shard_all_cases(tmp_path):
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]


def test_finished_cases_are_left_out_and_the_shards_stay_as_they_were(tmp_path, caplog):
    finish(tmp_path, "case1")
    assert numbers(tmp_path, 1, 2) == [1, 3]  # unless asked for
    with caplog.at_level("INFO"):
        assert numbers(tmp_path, "1", "2", skip_finished=True) == [3]
    assert "shard 1 of 0..1: 2 of 5 cases, 1 of them finished already" in caplog.text
    assert numbers(tmp_path, 0, 2, skip_finished=True) == [0, 2, 4]


@pytest.mark.parametrize("missing", OUTPUTS)
def test_a_case_without_one_of_its_files_is_not_finished(tmp_path, missing):
    finish(tmp_path, "case0", [ending for ending in OUTPUTS if ending != missing])
    (tmp_path / "case0" / f".77_case0_{missing}").write_bytes(b"")  # what a kill leaves
    assert 0 in numbers(tmp_path, skip_finished=True)


def test_a_case_of_several_images_has_the_first_ones_name(tmp_path):
    finish(tmp_path, "a_T1")
    cases = [{"image": ["a_T1.nii.gz", "a_T2.nii.gz"]}, {"image": ["b_T1.nii.gz", "b_T2.nii.gz"]}]
    assert cases_to_do(cases, tmp_path, skip_finished=True) == cases[1:]


def test_outputs_can_be_others(tmp_path):
    finish(tmp_path, "case2", ["mask.nii"])
    assert numbers(tmp_path, skip_finished=True, outputs=["mask.nii"]) == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("shard", "shards", "message"),
    [
        (2, 2, r"shard must be one of 0..1 with --shards 2, got 2; they count from 0 \(Slurm: --array=0-1\)"),
        (-1, 2, "shard must be one of 0..1 with --shards 2, got -1"),
        (0, 0, "shards must be at least 1, got 0"),
        (None, 4, r"with --shards 4 every process needs its own --shard, one of 0..3"),
        ("one", 4, "shard must be a whole number, got 'one'"),
        (0, 2.5, "shards must be a whole number, got 2.5"),
    ],
)
def test_bad_numbers_are_told_in_a_line(shard, shards, message):
    with pytest.raises(ValueError, match=message):
        check_shard(shard, shards)


def test_two_cases_of_one_name_are_refused(tmp_path):
    cases = [{"image": "a/x.nii.gz"}, {"image": "b/x.nii"}]
    with pytest.raises(ValueError, match=r"a/x.nii.gz and b/x.nii would both write to .*x: rename one of them"):
        cases_to_do(cases, tmp_path)
