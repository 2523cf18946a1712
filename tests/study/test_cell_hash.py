"""The hash of a cell follows what its parts do, and not how the configuration is written."""

import inspect

import pytest
from monai.bundle import ConfigParser

from dam_components.losses import confidence, generalized_dice
from dam_study.experiments import cell_hash
from dam_study.experiments.cell_hash import hash_run, hash_sources

CONFIG = {
    "imports": ["$import dam_components.networks as networks"],
    "device": "cpu",
    "epochs": 3,
    "loss": {"_target_": "dam_components.losses.ConfidenceLoss", "_desc_": "Eq. 4", "target": "correctness"},
    "model": "$networks.load_weights(@net, 'a.pt').to(@device)",
    "net": {"_target_": "UNet", "channels": [4, 8]},
    "trainer": {"_target_": "Trainer", "max_epochs": "@epochs", "loss": "@loss", "network": "@model", "handlers": []},
    "unused": 1,
    "run": ["$@trainer.run()"],
}


def hashed(**changes):
    entries = {name: value for name, value in {**CONFIG, **changes}.items() if value is not None}
    return hash_run(ConfigParser(entries))[0]


@pytest.mark.parametrize(
    "same",
    [
        {"device": "cuda:1"},
        {"unused": 2},
        {"imports": [*CONFIG["imports"], "$import os"]},
        {"loss": {**CONFIG["loss"], "_desc_": "other words"}},
        {"trainer": {**CONFIG["trainer"], "max_epochs": 3}},  # the value in place of its symbol
        {"rounds": 3, "epochs": None, "trainer": {**CONFIG["trainer"], "max_epochs": "@rounds"}},  # another name
        {"trainer": {**dict(reversed(CONFIG["trainer"].items())), "loss": CONFIG["loss"]}},
        {"trainer": {**CONFIG["trainer"], "handlers": [{"_target_": "StatsHandler", "name": "log"}]}},
    ],
)
def test_how_it_is_written_does_not_matter(same):
    assert hashed(**same) == hashed()


@pytest.mark.parametrize(
    "other",
    [
        {"epochs": 4},
        {"net": {**CONFIG["net"], "channels": [4, 16]}},
        {"loss": {**CONFIG["loss"], "band": 3}},
        {"model": "$networks.load_weights(@net, 'b.pt').to(@device)"},
        {"trainer": {**CONFIG["trainer"], "handlers": [{"_target_": "SeedEpochs"}]}},
        {"run": ["$@trainer.run()", "$@trainer.run()"]},
    ],
)
def test_what_it_does_matters(other):
    assert hashed(**other) != hashed()


def test_our_parts_are_found_as_targets_and_in_expressions():
    parts = hash_run(ConfigParser(CONFIG))[1]
    assert parts == {"dam_components.losses.ConfidenceLoss", "dam_components.networks.load_weights"}


@pytest.mark.parametrize("module", [confidence, generalized_dice])  # where it is written, and what that imports
def test_source_matters_and_comments_do_not(module, monkeypatch):
    parts = {"dam_components.losses.ConfidenceLoss"}
    before, read = hash_sources(parts), inspect.getsource

    def changed(line):
        return lambda asked: read(asked) + (line if asked is module else "")

    monkeypatch.setattr(cell_hash.inspect, "getsource", changed("\n# a comment\n"))
    assert hash_sources(parts) == before
    monkeypatch.setattr(
        cell_hash.inspect, "getsource", lambda asked: read(asked).replace('"""Eq. 4.', '"""Other words.')
    )
    assert hash_sources(parts) == before
    monkeypatch.setattr(cell_hash.inspect, "getsource", changed("\nEPSILON = 2\n"))
    assert hash_sources(parts) != before


def test_the_source_of_another_part_does_not_matter(monkeypatch):
    parts, read = {"dam_components.losses.ConfidenceLoss"}, inspect.getsource
    seen = []
    monkeypatch.setattr(cell_hash.inspect, "getsource", lambda asked: seen.append(asked.__name__) or read(asked))
    hash_sources(parts)
    assert "dam_components.losses.confidence" in seen
    assert "dam_components.losses.hybrid" not in seen
