"""Training as MONAI Label starts it: what it puts into train.json, without MONAI Label itself."""

import json
import shutil

import pytest
import torch
from monai.bundle import ConfigParser


@pytest.fixture
def served(trained, configs, tmp_path, monkeypatch):
    """A server's environment, the trained weights, and its overrides: a string for a device, lists of cases."""
    monkeypatch.setenv("MONAI_LABEL_APP_DIR", str(tmp_path))
    models = tmp_path / "models"
    shutil.copytree(trained.folder / "models", models)
    cases = [
        {"image": str(file), "label": str(file).replace("imagesTr", "labelsTr")}
        for file in sorted((configs.parent / trained.overrides["dataset_dir"] / "imagesTr").glob("*.nii.gz"))
    ]
    return {
        **{name: value for name, value in trained.overrides.items() if name != "dataset_dir"},
        "ckpt_dir": str(models),
        "output_dir": str(tmp_path / "output"),
        "device": "cpu",
        "train#trainer#max_epochs": 1,
        "train#dataset#data": cases[:2],
        "validate#dataset#data": [],
    }


def first_steps(run_here, **overrides):
    """Both networks after a training whose optimizers do not move them."""
    parser = run_here("train.json", "tasks/pelvic.json", **overrides, learning_rate=0.0, confidence_learning_rate=0.0)
    return {name: parser.parser.get_parsed_content(name) for name in ("network", "confidence_network")}


def same(network, file):
    saved = torch.load(file, weights_only=True)
    parameters = dict(network.named_parameters())
    return all(torch.equal(parameters[name].detach(), saved[name]) for name in parameters)


def test_both_networks_go_on_from_their_files_without_validation_cases(served, trained, run_here, tmp_path):
    networks = first_steps(run_here, **served)
    assert same(networks["network"], trained.weights["weights"])
    assert same(networks["confidence_network"], trained.weights["confidence_weights"])
    # val_split 0: no validation chose a best network, and both are written all the same
    for name in ("model.pt", "model_confidence.pt"):
        assert (tmp_path / "models" / name).stat().st_mtime > (trained.folder / "models" / name).stat().st_mtime


def test_pretrained_false_begins_anew(served, trained, run_here):
    networks = first_steps(run_here, **served, pretrained=False)
    assert not same(networks["network"], trained.weights["weights"])
    assert not same(networks["confidence_network"], trained.weights["confidence_weights"])


def test_a_server_without_weights_begins_anew(served, run_here, tmp_path):
    shutil.rmtree(tmp_path / "models")
    first_steps(run_here, **served)
    assert (tmp_path / "models" / "model_confidence.pt").is_file()


def test_elsewhere_a_training_begins_anew_unless_told(configs, monkeypatch, tmp_path):
    monkeypatch.delenv("MONAI_LABEL_APP_DIR", raising=False)
    for file in ("model.pt", "model_confidence.pt"):
        (tmp_path / file).touch()
    parser = ConfigParser(json.loads((configs / "train.json").read_text()))
    parser["ckpt_dir"] = str(tmp_path)
    assert parser.get_parsed_content("pretrained") is False


def test_monai_label_adds_no_loader_of_its_own(configs):
    """It inserts a CheckpointLoader unless a handler has just this _target_; it would load S after a resume too."""
    handlers = json.loads((configs / "train.json").read_text())["train"]["handlers"]
    assert any(handler["_target_"] == "CheckpointLoader" for handler in handlers)


def test_other_processes_are_quiet(configs):
    config = json.loads((configs / "train.json").read_text())
    handlers = [*config["train"]["handlers"], *config["validate"]["handlers"]]
    writes = ("Progress", "ProgressBar", "StatsHandler", "TensorBoardStatsHandler", "FinalSaver", "ConfidencePicture")
    for handler in (handler for handler in handlers if isinstance(handler, dict)):
        quiet = handler.get("_disabled_", "").startswith("$not @main_process")
        assert quiet == handler["_target_"].endswith(writes), handler["_target_"]
    assert json.loads((configs / "multi_gpu_train.json").read_text())["main_process"] == "$@rank == 0"


def test_the_learning_rate_ends_with_the_epochs_that_the_server_asked_for(configs):
    parser = ConfigParser(json.loads((configs / "train.json").read_text()))
    parser["train#trainer#max_epochs"] = 7
    schedule = parser.get_parsed_content("lr_scheduler#total_iters")
    assert schedule == parser.get_parsed_content("confidence_lr_scheduler#total_iters") == 7
