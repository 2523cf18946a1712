"""FinalSaver: a network at the end of a training that no validation has judged, and only then."""

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from dam_components.handlers import BestSaver, FinalSaver
from dam_components.networks import file_digests, identity_in, read_weights


def run(folder, validate: bool, fail: bool = False, last: bool = False, run_dir=None):
    """A training of one iteration that sets the weight to 2, validated first at weight 1."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    best = BestSaver(str(run_dir or folder), {"model": network}, "model.pt", {1: "organ"}, network)
    validator = Engine(lambda engine, batch: None)
    validator.state.key_metric_name = "score"
    validator.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: engine.state.metrics.update(score=0.5))
    best.attach(validator)

    def step(engine, batch):
        if fail:
            raise RuntimeError("out of memory")
        nn.init.constant_(network.weight, 2.0)

    trainer = Engine(step)
    if validate:
        trainer.add_event_handler(Events.STARTED, lambda: validator.run([0]))
    FinalSaver(str(folder), {"model": network}, "model.pt", None if last else best, {1: "gland"}, network).attach(
        trainer
    )
    trainer.run([0])


def saved(folder):
    return torch.load(folder / "model.pt", weights_only=True)["weight"].item()


def test_without_validation_the_final_network_is_written(tmp_path):
    run(tmp_path, validate=False)
    assert saved(tmp_path) == 2


def test_the_best_network_of_a_validation_stays(tmp_path):
    run(tmp_path, validate=True)
    assert saved(tmp_path) == 1


def test_the_last_network_is_written_over_the_best_where_that_is_asked_for(tmp_path):
    run(tmp_path, validate=True, last=True)
    assert saved(tmp_path) == 2


def test_a_failed_training_leaves_no_network(tmp_path):
    with pytest.raises(RuntimeError, match="out of memory"):
        run(tmp_path, validate=False, fail=True)
    assert not (tmp_path / "model.pt").exists()


def test_an_older_model_stays_until_the_training_is_over(tmp_path):
    """And the best network comes with its identity from the folder of the run."""
    (tmp_path / "model.pt").write_bytes(b"older")
    with pytest.raises(RuntimeError, match="out of memory"):
        run(tmp_path, validate=True, fail=True, run_dir=tmp_path / "run")
    assert (tmp_path / "model.pt").read_bytes() == b"older"
    assert saved(tmp_path / "run") == 1
    run(tmp_path, validate=True, run_dir=tmp_path / "run")
    assert saved(tmp_path) == 1
    identity = identity_in(read_weights(tmp_path / "model.pt"))
    assert identity["label_names"] == {"1": "organ"}
    assert identity["class"] == "Linear"
    assert identity["made_for"] == file_digests(tmp_path / "model.pt")


def test_the_last_network_knows_itself_too(tmp_path):
    run(tmp_path, validate=False)
    identity = identity_in(read_weights(tmp_path / "model.pt"))
    assert identity["label_names"] == {"1": "gland"}
    assert identity["made_for"] == file_digests(tmp_path / "model.pt")
