"""Curves of a training from TensorBoard's files."""

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from dam_components.figures import draw_training


@pytest.fixture
def events(tmp_path):
    def write(name, tag, values, start=0):
        with SummaryWriter(str(tmp_path / name)) as writer:
            for step, value in enumerate(values, start):
                writer.add_scalar(tag, value, step)
        return sorted((tmp_path / name).glob("events.*"))

    return write


def test_losses_and_validation_of_one_run(events):
    events("S", "segmentation_loss", [3, 2, 1])
    files = events("S", "val_mean_dice", [0.2, 0.8])
    left, right = draw_training({"S": files}).axes
    assert [line.get_label() for line in left.get_lines()] == ["loss of S"]
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), [3, 2, 1])
    np.testing.assert_allclose(right.get_lines()[0].get_ydata(), [0.2, 0.8])


def test_steps_that_were_run_again_count_once_and_runs_are_named(events):
    events("a", "segmentation_loss", [5, 4, 3])
    files = events("a", "segmentation_loss", [1], start=2)  # went on from the second step
    left, _ = draw_training({"a": files, "b": events("b", "segmentation_loss", [7])}).axes
    assert [line.get_label() for line in left.get_lines()] == ["a: loss of S", "b: loss of S"]
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), [5, 4, 1])


def test_no_curves_no_figure(tmp_path):
    assert draw_training({"S": []}) is None
