"""What a training leaves is a complete bundle, with every system and option: it can be moved and trained again."""

import json
import shutil
import sys

import fire
import monai.bundle
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out

from dam_components.data import decathlon_split
from tests.bundle.test_monai_tools import SCHEMA

MONAI = monai.bundle.__path__[0] + "/__main__.py"
TINY = {
    "spacing": [10.0, 10.0, 6.0],  # volumes of 16 x 16 x 16
    "patches_per_case": 1,
    "epochs": 1,
    "warmup_epochs": 0,
    "folds": {"fold": 1, "folds": 5, "validation": 1, "seed": 0},
}
CHANNELS = {"channels": [4, 4, 4, 4], "patch_size": [16, 16, 16]}
SYSTEMS = {
    "paper": (["experiments/paper.json"], {"channels": [4, 4, 4, 4]}),  # its own patches
    "proposed": (["experiments/proposed.json"], CHANNELS),
    "default": (["experiments/default.json"], CHANNELS),
    "flips": (["experiments/voxel_correctness_flips.json"], CHANNELS),
    "unet": (["experiments/unet.json"], CHANNELS),
    "vnet": (["experiments/vnet.json"], {**CHANNELS, "patch_size": [32, 32, 16]}),  # it halves 16 voxels to one
    "channels": ([], {**CHANNELS, "channels": [4, 8, 8, 12], "overlap": 0.25, "network_def#residual": False}),
    "cropped": (
        [],
        {**CHANNELS, "crop_nonzero": True, "largest_component": [1, 3], "validate#windows#mode": "constant"},
    ),
    "few labels": (["semi_supervised.json"], {**CHANNELS, "labelled": 1, "iterations_per_epoch": 1, "batch_size": 1}),
}


@pytest.fixture
def command(monkeypatch):
    """``python -m monai.bundle run``, in this process: the same words, the same reading of them."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(files, **options):
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        monkeypatch.setattr(sys, "argv", [MONAI, "run", "--config_file", str([str(file) for file in files]), *words])
        fire.Fire({"run": monai.bundle.run}, command=sys.argv[1:])

    return run


@pytest.fixture
def train(command, configs, patients, tmp_path, monkeypatch):
    """Trains a system; gives the model's folder, moved to where it was not made."""
    monkeypatch.chdir(tmp_path)

    def run(overlays, options):
        files = [configs / name for name in ("train.json", "tasks/pelvic.json", *overlays)]
        command(files, **{**TINY, **options}, dataset_dir=patients, output_dir=tmp_path / "output")
        return shutil.move(tmp_path / "output" / "model", tmp_path / "moved" / "model")

    (tmp_path / "moved").mkdir()
    return run


def evaluation(model, output):
    """What the evaluation of the model's test case computed: segmentation and M in the case's own space."""
    files = [str(model / "configs" / name) for name in ("train.json", "evaluate.json")]
    workflow = ConfigWorkflow(files, logging_file=False, bundle_root=str(model), output_dir=str(output))
    workflow.initialize()
    workflow.run()
    (case,) = workflow.parser.get_parsed_content("validate#evaluator").state.output
    return case["pred"][0], case["confidence"][0]


@pytest.mark.parametrize("system", SYSTEMS)
def test_inference_without_options_is_what_the_evaluation_computed(system, train, command, patients, tmp_path):
    model = train(*SYSTEMS[system])
    (case,) = decathlon_split(patients, "test", **TINY["folds"])
    (tmp_path / "images").mkdir()
    shutil.copy(case["image"], tmp_path / "images")
    command([model / "configs" / "inference.json"], dataset_dir=tmp_path / "images", output_dir=tmp_path / "results")
    written = [
        np.asarray(nib.load(tmp_path / "results" / case["case"] / f"{case['case']}_{kind}.nii.gz").dataobj)
        for kind in ("seg", "confidence")
    ]
    segmentation, M = evaluation(model, tmp_path / "evaluation")
    np.testing.assert_array_equal(written[0], segmentation)
    np.testing.assert_array_equal(np.rint(255 * written[1]), np.rint(255 * M))  # the file holds 255ths
    assert len(np.unique(M)) > 100  # a map, not a constant
    rows = pd.read_csv(tmp_path / "evaluation" / "metrics.csv")
    assert rows["case"].unique().tolist() == [case["case"]]


@pytest.fixture
def model(train):
    return train([], {**CHANNELS, "seed": 3})


def test_the_folder_says_where_the_model_comes_from(model, patients):
    docs = model / "docs"
    cases = json.loads((docs / "cases.json").read_text())
    expected = {name: [case["case"] for case in decathlon_split(patients, name, **TINY["folds"])] for name in cases}
    assert cases == expected
    assert [*cases] == ["train", "validation", "test"]
    training = json.loads((docs / "training.json").read_text())
    assert training["configs"] == ["train.json", "tasks/pelvic.json"]
    assert training["options"] == {**TINY, **CHANNELS, "seed": 3}  # and no folder of this machine
    assert training["made_by"]["libraries"]["monai"] == monai.__version__
    assert (training["epochs"], training["iterations"], training["seed"]) == (1, 3, 3)
    assert training["validation"]["metric"] == "val_mean_dice"
    assert 0 <= training["validation"]["best"] <= 1
    fingerprint = json.loads((docs / "data_report.json").read_text())["fingerprint"]
    assert fingerprint["cases"] == 5
    assert fingerprint["label_names"]["2"] == "prostate"
    assert (docs / "picture.png").read_bytes()[1:4] == b"PNG"
    readme = (docs / "README.md").read_text()
    assert all(text in readme for text in ("bladder", "3 train", "tasks/pelvic.json", "seed 3", "picture.png"))
    verify_metadata(meta_file=str(model / "configs" / "metadata.json"), filepath=str(SCHEMA))
    for name in ("train.json", "inference.json"):
        meta, config = (str(model / "configs" / file) for file in ("metadata.json", name))
        verify_net_in_out("network_def", meta_file=meta, config_file=config, device="cpu")


def test_no_folder_of_this_machine_but_the_datas_is_named(model, patients, tmp_path):
    for file in (model / "configs").rglob("*.json"):
        text = file.read_text().replace(str(patients), "")
        assert str(tmp_path) not in text, file
    properties = {"train": ("train.json", "evaluate.json"), "infer": ("inference.json",)}
    for kind, names in properties.items():
        files = [str(model / "configs" / name) for name in names]
        workflow = ConfigWorkflow(files, workflow_type=kind, logging_file=False, bundle_root=str(model))
        workflow.initialize()
        assert workflow.check_properties() == []


def test_a_training_of_the_folder_is_the_same_training(model, command, tmp_path, monkeypatch):
    """Its configuration is the whole of the one that it was made by."""
    before = torch.load(model / "models" / "model.pt", weights_only=True)
    text = (model / "configs" / "train.json").read_text()
    command([model / "configs" / "train.json"])
    after = torch.load(model / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {file.name for file in model.iterdir()} == {"LICENSE", "configs", "docs", "models", "output"}
    again = json.loads((model / "configs" / "train.json").read_text())
    assert again == json.loads(text)


def test_d_alone_is_noted_in_the_folder(model, command):
    configs = model / "configs"
    files = [configs / name for name in ("train.json", "train_confidence.json")]
    s_before = (model / "models" / "model.pt").read_bytes()
    command(files, epochs=1, spoil=0.5)
    assert (model / "models" / "model.pt").read_bytes() == s_before
    (stage,) = json.loads((model / "docs" / "training.json").read_text())["stages"]
    assert stage == {
        "configs": ["train.json", "train_confidence.json"],
        "options": {"epochs": 1, "spoil": 0.5},
        "epochs": 1,
    }
    assert "spoil 0.5" in (model / "docs" / "README.md").read_text()


def test_other_data_is_not_evaluated_as_the_test_cases(model, patients, tmp_path):
    shutil.copytree(patients, tmp_path / "fewer")
    index = json.loads((tmp_path / "fewer" / "dataset.json").read_text())
    index["training"].pop()
    (tmp_path / "fewer" / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(Exception) as caught:  # noqa: B017, PT011 - MONAI's own errors lie around the one that counts
        evaluation_of(model, tmp_path / "fewer")
    assert "folds.json names cases that the data lacks" in str(caught.value.__cause__ or caught.value)


def evaluation_of(model, dataset_dir):
    files = [str(model / "configs" / name) for name in ("train.json", "evaluate.json")]
    workflow = ConfigWorkflow(files, logging_file=False, bundle_root=str(model), dataset_dir=str(dataset_dir))
    workflow.initialize()
    workflow.parser.get_parsed_content("validate#dataset#data")
