"""Networks are not judged in silence by cases that they learned from."""

import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from dam_components.data import warn_of_known_cases

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"
CASES = [{"case": name} for name in ("a", "b", "c")]


@pytest.fixture
def weights(tmp_path):
    """S of a bundle that trained on a and validated on b."""
    (tmp_path / "models").mkdir()
    (tmp_path / "docs").mkdir()
    named = {"train": ["a", "z"], "validation": ["b"], "test": ["c"]}
    (tmp_path / "docs" / "cases.json").write_text(json.dumps(named))
    return tmp_path / "models" / "model.pt"


def test_cases_of_the_training_are_counted_and_those_that_validated_are_not(weights, caplog):
    assert warn_of_known_cases(CASES, weights) == 1
    assert "learned from 1 of these 3 cases (docs/cases.json" in caplog.text


def test_every_bundle_of_several_networks_counts(weights, tmp_path):
    assert warn_of_known_cases(CASES, [str(tmp_path / "other" / "models" / "model.pt"), str(weights)]) == 1


@pytest.mark.parametrize("file", ["model.pt", "models/deeper/model.pt"])
def test_new_cases_and_weights_that_say_nothing_are_no_matter(weights, tmp_path, caplog, file):
    assert warn_of_known_cases(CASES[1:], weights) == 0
    assert warn_of_known_cases(CASES, tmp_path / file) == 0
    assert not caplog.text


def test_evaluation_asks(weights):
    """Its first step asks, with the cases and the weights that it judges."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in ("train.json", "evaluate.json")])
    parser.update({"weights": str(weights), "validate#dataset": {"_target_": "Dataset", "data": CASES}})
    assert parser.get_parsed_content("run#0") == 1
