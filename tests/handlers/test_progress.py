"""The bar counts the whole training, and the log has the loss of an epoch and the metric behind it."""

import logging
import re

import pytest
import torch
from ignite.engine import Engine, Events

from dam_components.handlers import TrainingProgress
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


def test_a_run_that_goes_on_begins_where_it_was(capsys):
    train(4, begin=3)
    assert re.findall(r"(\d+)/8", capsys.readouterr().err)[0] == "6"
