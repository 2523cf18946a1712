"""Training, evaluation, resuming and Ctrl-C, from a working directory that is not the project's."""

import json
import re
import shutil
import signal
import time

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from dam_components.handlers import newest_checkpoint


@pytest.fixture
def one_thread():
    """As in the training that the test compares with: the number of threads decides the order of sums."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def parameters(file):
    return torch.load(file, weights_only=True)


def test_training_leaves_both_networks_the_last_state_scalars_and_a_picture_an_epoch(trained):
    output = trained.folder / "output"
    assert sorted(f.name for f in (trained.folder / "models").iterdir()) == ["model.pt", "model_confidence.pt"]
    assert newest_checkpoint(output / "run").name == "run_checkpoint_epoch=2.pt"
    assert sorted(f.name for f in (output / "pictures").iterdir()) == ["epoch_0001.png", "epoch_0002.png"]
    assert list(output.glob("events.out.tfevents.*"))
    lines = re.findall(r"train: epoch (\d) of 2: loss \d\.\d+, val_mean_dice 0\.\d+\n", trained.log)
    assert lines == ["1", "2"]
    assert "epoch=2/2, loss=" in trained.log
    assert "validate" in trained.log
    assert len([line for line in trained.log.splitlines() if line[2:3] == ":"]) == 4  # what is no bar and no warning
    # raw state_dicts of S and of D, as MONAI's tools want them
    assert all(isinstance(v, torch.Tensor) for v in parameters(trained.weights["weights"]).values())
    first = parameters(trained.weights["confidence_weights"])["encoder.0.conv.weight"]
    assert first.shape[0] == 4  # half of 8, the channels of S on that grid


def test_nothing_is_written_beside_what_was_named(trained):
    assert sorted(f.name for f in trained.folder.iterdir()) == ["models", "output"]


def test_resume_ends_with_the_parameters_of_an_unbroken_run(trained, run_here, tmp_path, one_thread):
    output, models = tmp_path / "output", tmp_path / "models"
    first, last = "run_checkpoint_epoch=1.pt", "run_checkpoint_epoch=2.pt"
    (output / "run").mkdir(parents=True)
    shutil.copy(trained.folder / "output" / "run" / first, output / "run")  # as if stopped after the first epoch
    overrides = {**trained.overrides, "output_dir": str(output), "ckpt_dir": str(models)}
    run_here("train.json", "tasks/pelvic.json", **overrides, epochs=2, resume=True)
    assert sorted(f.name for f in (output / "pictures").iterdir()) == ["epoch_0002.png"]  # the first is not repeated
    before, after = parameters(output / "run" / first), parameters(output / "run" / last)
    unbroken = parameters(trained.folder / "output" / "run" / last)
    for network in ("network", "confidence_network"):
        assert any(not torch.equal(after[network][name], value) for name, value in before[network].items())
        torch.testing.assert_close(after[network], unbroken[network])
    assert after["trainer"]["iteration"] == unbroken["trainer"]["iteration"]


def test_resume_without_a_run_says_so(error_of, trained, tmp_path):
    overrides = {**trained.overrides, "output_dir": str(tmp_path / "nothing")}
    assert "start without --resume" in error_of("train.json", "tasks/pelvic.json", **overrides, resume=True)


def test_evaluation_writes_a_row_a_case_class_and_region(trained, run_here, tmp_path):
    overrides = {**trained.overrides, "output_dir": str(tmp_path / "evaluation")}
    workflow = run_here("train.json", "evaluate.json", "tasks/pelvic.json", **overrides, **trained.weights)
    rows = pd.read_csv(tmp_path / "evaluation" / "metrics.csv")
    assert rows["case"].nunique() == 1  # one of five cases a fold
    assert rows["label"].unique().tolist() == ["bladder", "prostate", "rectum"]
    assert rows["region"].unique().tolist() == ["whole", "apex", "middle", "base"]
    assert len(rows) == 12
    assert rows["dice"].between(0, 1).all()
    whole = rows[rows["region"] == "whole"]
    metrics = workflow.parser.get_parsed_content("validate#evaluator").state.metrics
    assert metrics["mean_dice"] == pytest.approx(whole["dice"].mean())
    # the reference volume is that of the label file: voxels of 5 x 5 x 6 mm
    label = nib.load(f"{trained.overrides['dataset_dir']}/labelsTr/{rows['case'][0]}.nii.gz").get_fdata()
    assert whole["reference_ml"].tolist() == pytest.approx([(label == i).sum() * 0.15 for i in (1, 2, 3)])


def test_section_chooses_the_cases_of_an_evaluation(trained, run_here, tmp_path):
    overrides = {**trained.overrides, "output_dir": str(tmp_path), "section": "train"}
    run_here("train.json", "evaluate.json", "tasks/pelvic.json", **overrides, **trained.weights)
    assert pd.read_csv(tmp_path / "metrics.csv")["case"].nunique() == 3


def test_ctrl_c_ends_a_training_with_130_and_the_older_model_as_it_was(start, trained, tmp_path):
    models, run = tmp_path / "models", tmp_path / "output" / "run"
    models.mkdir()
    for name in ("model.pt", "model_confidence.pt"):
        (models / name).write_bytes(b"of an older training")
    overrides = {**trained.overrides, "ckpt_dir": str(models), "output_dir": str(tmp_path / "output")}
    process = start(tmp_path, "train.json", "tasks/pelvic.json", **overrides, epochs=500)
    deadline = time.monotonic() + 240
    while not list(run.glob("run_checkpoint_epoch=[1-9]*.pt")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 130, stderr
    assert "interrupted (SIGINT) in epoch" in stdout + stderr
    assert "no model was written or replaced" in stdout + stderr
    assert "Traceback" not in stderr
    done = parameters(newest_checkpoint(run))["trainer"]["iteration"]
    assert 1 <= done < 500
    assert {file.read_bytes() for file in models.iterdir()} == {b"of an older training"}
    assert {file.suffix for file in run.iterdir()} == {".pt"}


def test_promise12_overlay_trains_on_one_structure(patients, tiny, run_here, tmp_path):
    prostates = tmp_path / "prostates"
    shutil.copytree(patients, prostates)
    for file in (prostates / "labelsTr").glob("*.nii.gz"):
        label = nib.load(file)
        only_prostate = (np.asarray(label.dataobj) == 2).astype(np.uint8)
        nib.save(nib.Nifti1Image(only_prostate, label.affine), file)
    index = json.loads((prostates / "dataset.json").read_text())
    index["labels"] = {"0": "background", "1": "prostate"}
    (prostates / "dataset.json").write_text(json.dumps(index))
    folders = {
        "dataset_dir": str(prostates),
        "ckpt_dir": str(tmp_path / "models"),
        "output_dir": str(tmp_path / "output"),
    }
    run_here("train.json", "tasks/promise12.json", **tiny, **folders, epochs=1, val_interval=1)
    state = parameters(tmp_path / "models" / "model.pt")
    heads = [v for k, v in state.items() if k.startswith("heads") and k.endswith("weight")]
    assert {head.shape[0] for head in heads} == {2}  # background and prostate
    assert (tmp_path / "models" / "model_confidence.pt").is_file()
