"""FinalSaver: a network at the end of a training that no validation has judged, and only then."""

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from dam_components.handlers import BestSaver, FinalSaver


def run(folder, validate: bool, fail: bool = False, last: bool = False):
    """A training of one iteration that sets the weight to 2, validated first at weight 1."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    best = BestSaver(str(folder), {"model": network}, "model.pt")
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
    FinalSaver(str(folder), {"model": network}, "model.pt", unless=None if last else best).attach(trainer)
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
