"""The active_learning command on synthetic cases, networks of a few feature maps, and a handful of iterations."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from dam_components.confidence.doubt_scores import Segmentation
from dam_components.errors import plain_message
from dam_components.metrics import least_confident_first
from dam_components.networks import EnhancedUNet
from dam_components.synthetic import write_pelvic_dataset
from dam_study.active_learning.training import BundleLearner
from dam_study.commands.labelling import active_learning

BUNDLE = Path(__file__).parents[2] / "bundle"
SHAPE = (16, 16, 16)
STRIDES = [[2, 2, 1], 2, 2]
FILES = ("rounds.csv", "cases.csv", "active_learning.md")
command = sys.modules[active_learning.__module__]


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    """9 synthetic cases: 6 to label, 3 to test."""
    data = write_pelvic_dataset(tmp_path_factory.mktemp("active") / "data", cases=9, shape=SHAPE)
    overrides = {
        "channels": [4, 4, 4, 4],
        "strides": STRIDES,
        "spacing": [10.0, 10.0, 6.0],
        "patch_size": list(SHAPE),
        "patches_per_case": 1,
        "amp": False,
        "folds": {"fold": 0, "folds": 3, "validation": 0, "seed": 0},
    }
    return {
        "bundle": str(BUNDLE),
        "data": str(data),
        "overlay": str(BUNDLE / "configs" / "tasks" / "pelvic.json"),
        "overrides": overrides,
    }


@pytest.fixture
def short(setup, tmp_path):
    """Options of a simulation of three trainings."""
    plan = {"start": 2, "add": 2, "rounds": 1, "seeds": 0, "epochs": 2, "epoch_length": 2}
    return setup | plan | {"output": str(tmp_path / "out")}


@pytest.fixture
def trainings(monkeypatch):
    """The trainings that a command does; the one numbered ``dies_at`` is killed."""

    class Trainings(list):
        dies_at = None

    done, train = Trainings(), BundleLearner.train

    def spy(self, labelled, seed, start_from=None):
        if len(done) == done.dies_at:
            raise KeyboardInterrupt
        done.append((tuple(labelled), seed, start_from))
        return train(self, labelled, seed, start_from)

    monkeypatch.setattr(BundleLearner, "train", spy)
    return done


def contents(folder):
    texts = {name: Path(folder, name).read_text() for name in FILES}
    return texts | {"active_learning.md": texts["active_learning.md"].split("- data")[1]}  # but for the command


def test_a_killed_simulation_goes_on_and_ends_alike(short, trainings, tmp_path, capsys):
    active_learning(**short)
    assert len(trainings) == 3
    rounds = pd.read_csv(Path(short["output"], "rounds.csv"))
    assert rounds[["strategy", "round", "labelled"]].to_numpy().tolist() == [
        ["confidence", 0, 2],
        ["confidence", 1, 4],
        ["random", 0, 2],
        ["random", 1, 4],
    ]
    assert list(rounds.columns[4:]) == ["mean_dice", "bladder", "prostate", "rectum"]
    assert rounds["mean_dice"].between(0, 1, inclusive="neither").all()
    assert "seed 0, round 1, random: 4 labelled, mean Dice" in capsys.readouterr().out
    report = Path(short["output"], "active_learning.md").read_text()
    assert "6 training cases of which some are labelled, 3 test cases" in report
    assert "2 epochs of 2 iterations of 1 cases, from scratch, amp False, no validation" in report
    assert '--overrides \'{"channels": [4, 4, 4, 4]' in report

    killed = short | {"output": str(tmp_path / "killed")}
    trainings.clear()
    trainings.dies_at = 2
    with pytest.raises(KeyboardInterrupt):
        active_learning(**killed)
    assert not Path(killed["output"], "rounds.csv").exists()
    trainings.clear()
    trainings.dies_at = 1  # one is left
    active_learning(**killed)
    assert len(trainings) == 1
    assert contents(killed["output"]) == contents(short["output"])
    active_learning(**killed)  # nothing is left

    for change, message in (
        ({"epochs": 3}, "holds a simulation with another epochs, 2, not 3: name another --output"),
        ({"overrides": short["overrides"] | {"learning_rate": 0.5}}, "another learning_rate, 0.002, not 0.5"),
        ({"warm_start": True}, "another warm_start, false, not true"),
        ({"fold": 1}, "another folds#fold, 0, not 1"),
    ):
        with pytest.raises(ValueError, match=message):
            active_learning(**killed | change)


def test_a_warm_start_goes_on_from_the_weights_of_the_round_before(short, setup, tmp_path, trainings):
    active_learning(**short | {"warm_start": "true", "strategies": "confidence"})
    kept = Path(short["output"], "rounds")
    assert [start_from for _, _, start_from in trainings] == [None, kept / "seed0_round0_start"]
    overlays = [setup["overlay"]]
    entries = setup["overrides"] | {"dataset_dir": setup["data"], "learning_rate": 0.0, "weight_decay": 0.0}
    learner = BundleLearner(setup["bundle"], overlays, entries, 1, 1, warm_start=True)
    learner._load()
    parser = learner.train(learner.train_cases[:2], 5, kept / "seed0_round0_start")
    expected = EnhancedUNet(3, 1, 4, channels=[4, 4, 4, 4], strides=STRIDES)
    expected.load_state_dict(torch.load(kept / "seed0_round0_start.pt", weights_only=True))
    for name, parameter in parser.get_parsed_content("network").named_parameters():
        torch.testing.assert_close(parameter, expected.get_parameter(name))
    with pytest.raises(RuntimeError) as caught:  # MONAI's, around the one that counts
        learner.train(learner.train_cases[:2], 5, kept / "seed0_round0_gone")
    assert "seed0_round0_gone.pt" in str(plain_message(caught.value))


def test_a_training_has_the_iterations_asked_for_whatever_the_cases(setup):
    entries = setup["overrides"] | {"dataset_dir": setup["data"], "batch_size": 2, "learning_rate": 0.01}
    learner = BundleLearner(setup["bundle"], [setup["overlay"]], entries, epochs=2, epoch_length=3)
    learner._load()
    for count in (1, 5):
        parser = learner.train(learner.train_cases[:count], seed=0)
        trainer = parser.get_parsed_content("train#trainer")
        assert (trainer.state.iteration, trainer.state.epoch) == (6, 2)
        assert trainer.optimizer.param_groups[0]["lr"] == 0  # the schedule ended
        assert {item["case"] for item in trainer.data_loader.dataset.data} == {*learner.train_cases[:count]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 3, "rounds": 2}, r"at most the 6 training cases of the fold, got 7: lower --start, --rounds or"),
        ({"strategies": "confidence,entropy"}, "strategies must be of confidence, softmax, random, .* got 'entropy'"),
        ({"seeds": "one"}, "seeds must be whole numbers separated by commas, got 'one'"),
        ({"epochs": 0}, "epochs must be a whole number, at least 1, got 0"),
        ({"epoch_length": 2.5}, "epoch_length must be a whole number, at least 1, got 2.5"),
        ({"warm_start": "maybe"}, "warm_start must be true or false, got 'maybe'"),
        ({"overrides": {"chanels": [4]}}, "no entry of the configuration is called chanels"),
    ],
)
def test_bad_options_are_named_before_anything_is_written(short, options, message):
    with pytest.raises(ValueError, match=message):
        active_learning(**short | options)
    assert not Path(short["output"]).exists()


def test_an_image_without_structures_is_labelled_first(monkeypatch):
    """D is sure that they are absent, which says nothing of whether they should be."""
    learner = BundleLearner.__new__(BundleLearner)
    learner.class_names, learner.device, learner.warm_start = ["a", "b"], torch.device("cpu"), False
    learner._items = {name: {"case": name, "image": torch.zeros(1, 6, 6, 6)} for name in ("bad", "empty", "good")}
    learner.test_cases, learner._loaded = [], True
    predicted = torch.zeros(1, 3, 6, 6, 6)
    predicted[:, 0] = 20
    found = predicted.clone()
    found[:, 1, 1:3, 1:5, 1:5] = found[:, 2, 3:5, 1:5, 1:5] = 40
    logits = {"bad": found / 30, "good": found, "empty": predicted}
    monkeypatch.setattr(learner, "train", lambda *_: None)
    monkeypatch.setattr(
        "dam_study.active_learning.training.load_models", lambda _: (None, lambda p, _: p.amax(1, True), "cpu")
    )

    def segment(case, _):
        return Segmentation.of(learner._items[case]["image"][None], lambda _: logits[case])

    monkeypatch.setattr(learner, "segment", segment)
    _, scores, _ = learner([], ["bad", "empty", "good"], ["confidence", "softmax"], 0, None, Path("unused"))
    for name in ("confidence", "softmax"):
        assert least_confident_first(scores[name]) == ["empty", "bad", "good"]
        assert scores[name]["empty"] == 0
