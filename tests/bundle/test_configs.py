"""Every configuration of the bundle: readable, resolvable, and every task's overlay builds networks that run."""

import json
import pydoc
import re
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigComponent, ConfigParser

from dam_components.data import decathlon_split
from dam_components.metrics import DiceCalibration
from dam_components.networks import file_digests
from dam_components.planning.config_text import config_text

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundle" / "configs"
FILES = sorted(file.relative_to(CONFIGS).as_posix() for file in CONFIGS.rglob("*.json"))
TASKS = [name for name in FILES if name.startswith("tasks/")]


def targets(config):
    """Every component of a configuration, wherever it stands."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config
        config = list(config.values())
    for item in config if isinstance(config, list) else ():
        yield from targets(item)


def test_the_tasks_of_the_paper_and_the_default_are_there():
    assert {"hippocampus", "promise12", "pelvic", "mrbrains18", "ibsr18"} <= {Path(name).stem for name in TASKS}


@pytest.mark.parametrize("name", FILES)
def test_json_is_valid_and_every_target_resolves(name):
    config = json.loads((CONFIGS / name).read_text(encoding="utf-8"))
    for component in targets(config):
        target = ConfigComponent(component).resolve_module_name()
        assert callable(target if callable(target) else pydoc.locate(target)), component["_target_"]


@pytest.mark.parametrize("name", FILES)
def test_no_configuration_knows_a_folder_of_some_machine(name):
    assert '"/' not in (CONFIGS / name).read_text()


@pytest.mark.parametrize("base", ["train.json", "inference.json"])
@pytest.mark.parametrize("task", TASKS)
def test_an_overlay_builds_s_and_d_that_take_its_patch(task, base):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / base), str(CONFIGS / task)])
    parser["channels"] = [4, 4, 4, 4]
    S = parser.get_parsed_content("network_def").eval()
    D = parser.get_parsed_content("confidence_network_def").eval()
    classes, channels = 1 + len(parser["label_names"]), parser["image_channels"]
    image = torch.rand(1, channels, *parser["patch_size"])
    with torch.no_grad():
        logits = S(image)
        judgement = D(torch.cat([logits.softmax(1), image], dim=1))
    assert logits.shape == (1, classes, *parser["patch_size"])
    assert judgement.shape == (1, 1, *parser["patch_size"])


@pytest.mark.parametrize("task", TASKS)
def test_labels_of_a_task_count_from_1(task):
    names = json.loads((CONFIGS / task).read_text())["label_names"]
    assert [*names] == [str(i) for i in range(1, 1 + len(names))]


def test_the_default_overlay_is_the_default():
    overlay = json.loads((CONFIGS / "tasks" / "hippocampus.json").read_text())
    del overlay["_desc_"]
    for base in ("train.json", "inference.json"):
        config = json.loads((CONFIGS / base).read_text())
        assert {key: config[key] for key in overlay} == overlay


def test_training_and_inference_agree_on_networks_and_preprocessing():
    train, inference = (json.loads((CONFIGS / name).read_text()) for name in ("train.json", "inference.json"))
    for key in ("network_def", "confidence_network_def", "num_classes"):
        assert train[key] == inference[key]

    # the label's part aside
    label = ("keys", "mode", "allow_missing_keys")
    before, after = (
        [step if step == "@intensity" else {k: v for k, v in step.items() if k not in label} for step in steps]
        for steps in (train["train"]["preprocessing_transforms"], inference["preprocessing"]["transforms"])
    )
    assert before == after
    assert before.count("@intensity") == 1


def test_evaluation_and_inference_make_the_same_of_the_networks_output():
    evaluation = ConfigParser.load_config_files([str(CONFIGS / name) for name in ("train.json", "evaluate.json")])
    named = json.loads((CONFIGS / "inference.json").read_text())
    inference = [named[step[1:]] if isinstance(step, str) else step for step in named["postprocessing"]["transforms"]]
    served = ("_desc_", "device", "inferer", "transform", "to_tensor")  # where things stand, and what a server asks
    own = {"CaseReportd", "ReviewPictured", "SaveDicomd", "SaveImaged", "SaveMapd", "WriteReportd"}
    judged, written = (
        [{k: v for k, v in step.items() if k not in served} for step in steps]
        for steps in (evaluation["validate"]["map_transforms"] + evaluation["validate"]["class_transforms"], inference)
    )
    assert judged == [step for step in written if step["_target_"].split(".")[-1] not in own]


NUMBERED = re.compile(r"#[0-9]|::[0-9]")


WRITTEN = [
    file for folder in ("bundle", "dam_study", "examples", "label_app") for file in (ROOT / folder).rglob("*.json")
]


@pytest.mark.parametrize("file", sorted(file.relative_to(ROOT).as_posix() for file in WRITTEN))
def test_no_entry_is_addressed_by_its_number(file):
    """A list may grow: what is meant has a name."""
    assert not NUMBERED.search((ROOT / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_the_text_is_as_the_project_writes_it(name):
    text = (CONFIGS / name).read_text(encoding="utf-8")
    assert text == config_text(json.loads(text))


def test_the_shipped_calibration_is_of_the_shipped_weights():
    models = CONFIGS.parent / "models"
    calibration = DiceCalibration.load(models / "calibration.json", classes=2)
    assert calibration.networks == tuple(file_digests([models / "model.pt", models / "model_confidence.pt"]))


@pytest.mark.parametrize(("workers", "where"), [(0, "cuda:1"), (2, "cpu")])
def test_workers_are_given_no_case_on_the_gpu(workers, where):
    """A forked process may not touch what lies there."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in ("train.json", "semi_supervised.json")])
    parser.update({"device": "cuda:1", "num_workers": workers})
    for steps in ("train#random_transforms", "unlabelled#weak_transforms"):
        placed = [step for step in parser[steps] if step["_target_"] == "EnsureTyped"]
        index = parser[steps].index(placed[0])
        assert parser.get_parsed_content(f"{steps}#{index}#device") == where


def test_the_shipped_weights_learned_from_every_case(hippocampus):
    named = json.loads((CONFIGS.parent / "docs" / "cases.json").read_text())
    every = [case["case"] for case in decathlon_split(hippocampus, "all")]
    assert named == {"train": every, "validation": [], "test": []}
