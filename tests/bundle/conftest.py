"""A bundle trained in seconds on synthetic patients, and ways to run its configurations."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from monai.bundle import ConfigWorkflow

from dam_components.data import decathlon_split
from dam_components.errors import plain_message
from dam_components.synthetic import write_pelvic_dataset

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"
SHAPE = (32, 32, 16)
TINY = {
    "channels": [4, 8, 8, 8],
    "spacing": [5.0, 5.0, 6.0],  # the default of a volume of SHAPE
    "patch_size": list(SHAPE),
    "patches_per_case": 1,
    "folds#folds": 5,
    "folds#validation": 1,
}


def config_files(*names):
    return [str(CONFIGS / name) for name in names]


def start_bundle(folder, *configs, launcher=(), **overrides):
    """`python -m monai.bundle run` as a person starts it, from a folder that is not the project's."""
    launch = [sys.executable, "-m", *launcher]
    if launcher:
        launch.append("-m")
    command = [*launch, "monai.bundle", "run", "--config_file", str(config_files(*configs))]
    for name, value in overrides.items():
        command += [f"--{name}", str(value)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",  # a library in this process may have set another locale
    )


@pytest.fixture(scope="session")
def real_data():
    """The folder of the real data as released. Where there is none, what asks for it is skipped, and fails under CI."""
    folder = Path(os.environ.get("DAM_DATA", Path(__file__).parents[3] / "shared" / "data")).resolve()
    if not all((folder / name).is_dir() for name in ("CT_example", "IBSR18", "PROMISE12")):
        miss = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        miss(f"no real data in {folder}: DAM_DATA names the folder that holds CT_example, IBSR18 and PROMISE12")
    return folder


@pytest.fixture(scope="session")
def hippocampus():
    """The folder of the real cases. Where there is none, what asks for it is skipped, and fails under CI."""
    data = Path(os.environ.get("DAM_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder = data.resolve() / "Task04_Hippocampus"
    miss = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    if not folder.is_dir():
        miss(f"no real cases in {folder}: DAM_DATA names the folder that holds Task04_Hippocampus")
    here = {case["case"] for case in decathlon_split(folder, "all")}
    named = json.loads((CONFIGS.parent / "docs" / "cases.json").read_text())
    if here != {case for cases in named.values() for case in cases}:
        miss(f"{folder} has other cases than the 208 of bundle/docs/cases.json, of which the shipped weights are")
    return folder


@pytest.fixture
def configs():
    """The bundle's folder of configurations."""
    return CONFIGS


@pytest.fixture
def start():
    return start_bundle


@pytest.fixture
def tiny():
    """Overrides that fit the synthetic patients and train in seconds."""
    return dict(TINY)


@pytest.fixture(scope="session")
def patients(tmp_path_factory):
    return write_pelvic_dataset(tmp_path_factory.mktemp("data") / "patients", cases=5, shape=SHAPE)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, patients):
    """One training of two epochs, with everything that steers S switched on."""
    folder = tmp_path_factory.mktemp("trained")
    overrides = {
        **TINY,
        "dataset_dir": str(patients),
        "ckpt_dir": str(folder / "models"),
        "output_dir": str(folder / "output"),
        "warmup_epochs": 0,
        "lambda_adv": 0.01,
        "attention_floor": 0.5,
        "gamma": 1.0,
    }
    process = start_bundle(folder, "train.json", "tasks/pelvic.json", **overrides, epochs=2)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    weights = {
        "weights": str(folder / "models" / "model.pt"),
        "confidence_weights": str(folder / "models" / "model_confidence.pt"),
    }
    return SimpleNamespace(folder=folder, overrides=overrides, weights=weights, log=stdout + stderr)


@pytest.fixture
def run_here(tmp_path, monkeypatch):
    """Runs configurations in this process, from another working directory, and gives the workflow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # plain_errors sets it
    monkeypatch.setattr(sys, "path", [*sys.path])  # a workflow adds the bundle

    def run(*configs, **overrides):
        root = {"bundle_root": str(CONFIGS.parent)}
        workflow = ConfigWorkflow(config_files(*configs), logging_file=False, **{**root, **overrides})
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        return workflow

    return run


@pytest.fixture
def error_of(run_here):
    """The one line that a run ends with."""

    def run(*configs, **overrides):
        with pytest.raises(Exception) as caught:  # noqa: B017, PT011 - MONAI's own errors lie around the one that counts
            run_here(*configs, **overrides)
        message = plain_message(caught.value)
        assert message is not None, repr(caught.value.__cause__ or caught.value)
        assert "\n" not in message
        return message

    return run
