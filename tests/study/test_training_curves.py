"""curves.csv: means over an epoch, the rate before the scheduler's step, validation, resuming."""

import math

import pandas as pd
import pytest
import torch
from ignite.engine import Engine, Events

from dam_study.handlers import TrainingCurves
from dam_study.report.training_curves import draw_training_curves

COLUMNS = [
    *("epoch", "train_loss", "segmentation_loss", "confidence_loss", "adversarial_loss"),
    *("val_mean_dice", "learning_rate", "seconds"),
]


@pytest.fixture
def training(tmp_path):
    """A trainer whose loss is the iteration's number, validated every other epoch with Dice epoch / 10."""

    def make():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        evaluator = Engine(lambda engine, batch: None)

        def step(engine, batch):
            loss = torch.tensor(float(engine.state.iteration))
            parts = {"segmentation_loss": loss + 1, "confidence_loss": loss + 2, "adversarial_loss": loss * 0}
            return [{"loss": loss, **parts}] * 2

        trainer = Engine(step)

        @trainer.on(Events.EPOCH_COMPLETED)
        def schedule():
            optimizer.param_groups[0]["lr"] /= 2

        @trainer.on(Events.EPOCH_COMPLETED(every=2))
        def validate():
            evaluator.state.epoch = trainer.state.epoch
            evaluator.state.metrics["val_mean_dice"] = trainer.state.epoch / 10

        TrainingCurves(tmp_path, evaluator, optimizer).attach(trainer)
        return trainer

    return make


def test_a_row_an_epoch(training, tmp_path):
    training().run([0, 0], max_epochs=3)
    rows = pd.read_csv(tmp_path / "curves.csv")
    assert list(rows) == COLUMNS
    assert rows["epoch"].tolist() == [1, 2, 3]
    assert rows["train_loss"].tolist() == [1.5, 3.5, 5.5]  # iterations 1, 2; 3, 4; 5, 6
    assert rows["segmentation_loss"].tolist() == [2.5, 4.5, 6.5]
    assert rows["confidence_loss"].tolist() == [3.5, 5.5, 7.5]
    assert rows["adversarial_loss"].tolist() == [0, 0, 0]
    assert rows["learning_rate"].tolist() == [1, 0.5, 0.25]  # in the epoch, not after it
    dice = rows["val_mean_dice"].tolist()
    assert math.isnan(dice[0])
    assert dice[1] == 0.2
    assert math.isnan(dice[2])
    assert (rows["seconds"] >= 0).all()


def test_the_file_is_there_after_every_epoch(training, tmp_path):
    trainer = training()
    lengths = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: lengths.append(len(pd.read_csv(tmp_path / "curves.csv"))))
    trainer.run([0], max_epochs=2)
    assert lengths == [1, 2]


def test_a_resumed_training_keeps_the_epochs_before_and_drops_what_it_repeats(training, tmp_path):
    training().run([0, 0], max_epochs=3)
    first = pd.read_csv(tmp_path / "curves.csv")
    again = training()
    again.load_state_dict({"epoch": 2, "max_epochs": 4, "epoch_length": 2})
    again.run([0, 0], max_epochs=4)
    rows = pd.read_csv(tmp_path / "curves.csv")
    assert rows["epoch"].tolist() == [1, 2, 3, 4]
    pd.testing.assert_frame_equal(rows[:2], first[:2])
    assert rows["learning_rate"].tolist()[2:] == [1, 0.5]  # this training's own


def test_a_training_from_the_start_keeps_no_old_row(training, tmp_path):
    training().run([0], max_epochs=3)
    training().run([0], max_epochs=1)
    assert pd.read_csv(tmp_path / "curves.csv")["epoch"].tolist() == [1]


def test_the_picture_shows_each_loss_and_the_validated_epochs():
    rows = pd.DataFrame([[1, 4, 3, 2, 1, math.nan, 1, 1], [2, 3, 2, 1, 0, 0.5, 1, 1]], columns=COLUMNS)
    left, right = draw_training_curves(rows).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in left.lines}
    assert drawn == {
        "train loss": [4, 3],
        "segmentation loss": [3, 2],
        "confidence loss": [2, 1],
        "adversarial loss": [1, 0],
    }
    assert right.lines[0].get_xydata().tolist() == [[2, 0.5]]
