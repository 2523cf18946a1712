"""The bar counts the whole training, and the log has the loss of an epoch and the metric behind it."""

import itertools
import logging
import re

import pytest
import torch
from ignite.engine import Engine, Events

from dam_components.handlers import TrainingProgress, progress
from dam_components.handlers.progress import LINES


def train(epochs, losses=(1.0, 3.0), validate_every=1, begin=0, **options):
    validator = Engine(lambda engine, batch: None)
    validator.state.key_metric_name = "dice"
    trainer = Engine(lambda engine, batch: {"loss": torch.tensor(batch)})

    @trainer.on(Events.EPOCH_COMPLETED(every=validate_every))
    def validate():
        validator.state.metrics["dice"] = trainer.state.epoch / 100

    TrainingProgress("train S", lambda output: output["loss"], validator, validate_every, **options).attach(trainer)
    if begin:
        trainer.load_state_dict({"iteration": begin * len(losses), "epoch_length": len(losses), "max_epochs": epochs})
    trainer.run(list(losses), max_epochs=epochs)


def test_lines_have_the_epochs_mean_loss_and_the_metric(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="dam_components"):
        train(2)
    assert caplog.messages == [f"train S: epoch {n} of 2: loss 2.0000, dice 0.0{n}00" for n in (1, 2)]
    assert "train S: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(("epochs", "every"), [(500, 1), (60, 1), (100, 5), (7, 2)])
def test_a_long_training_writes_few_lines_each_with_a_new_metric_and_the_last_epoch(caplog, epochs, every):
    with caplog.at_level(logging.INFO, logger="dam_components"):
        train(epochs, losses=(1.0,), validate_every=every)
    told = [int(re.search(r"epoch (\d+)", line)[1]) for line in caplog.messages]
    assert told[-1] == epochs
    assert len(told) <= LINES + 1
    assert all(epoch % every == 0 for epoch in told[:-1])


@pytest.mark.parametrize(("step_s", "level"), [(30, "WARNING"), (3, "INFO")])
def test_the_first_steps_tell_the_hours(caplog, monkeypatch, step_s, level):
    clock = itertools.count(0.0, step_s)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))  # read once a step
    with caplog.at_level(logging.INFO, logger="dam_components"):
        train(6002, losses=(1.0,), validate_every=6002)
    (record,) = [record for record in caplog.records if "steps of" in record.message]
    assert record.levelname == level
    if level == "WARNING":  # 6000 steps of 30 s are 50 h; 48 h hold 5760 of them
        assert record.message == (
            "train S: 6000 steps of 30 s are left: about 50 hours, too long for this machine. Stop it with Ctrl-C, and "
            "take a GPU, --epochs 5760, or narrower networks (--channels)"
        )
    else:
        assert record.message.endswith("hours, without validation")


def test_of_a_training_that_is_over_no_hours_are_told(caplog, monkeypatch):
    clock = itertools.count(0.0, 30.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, logger="dam_components"):
        train(2, losses=(1.0,))
    assert not [message for message in caplog.messages if "steps of" in message]


def test_a_run_that_goes_on_begins_where_it_was(capsys):
    train(4, begin=3)
    assert re.findall(r"(\d+)/8", capsys.readouterr().err)[0] == "6"
