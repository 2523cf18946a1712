"""Statistics of difficulty masks, by hand."""

import math

import numpy as np
import pytest

from dam_study.experiments.finished_cell import FinishedCell
from dam_study.report.difficulty_table import difficulty_table, mask_statistics

FOCAL = np.array([[0.0, 0.0], [1.0, 1.0]])


def test_the_last_epoch_with_both_masks_counts():
    arrays = {
        "epoch1/difficulty": FOCAL,
        "epoch1/focal": FOCAL,
        "epoch10/difficulty": np.array([[0.4, 0.2], [0.4, 0.2]]),  # varies across the focal mask
        "epoch10/focal": FOCAL,
        "epoch11/difficulty": FOCAL,
    }
    assert mask_statistics(arrays) == pytest.approx({"mean": 0.3, "std": 0.1, "correlation": 0.0})


def test_a_constant_mask_has_no_correlation():
    found = mask_statistics({"epoch1/difficulty": np.full((2, 2), 0.7), "epoch1/focal": FOCAL})
    assert found["mean"] == pytest.approx(0.7)
    assert found["std"] == 0
    assert math.isnan(found["correlation"])


def test_without_masks_there_is_nothing():
    assert mask_statistics({"image": FOCAL}) is None


def test_cells_are_averaged_and_systems_without_masks_left_out(tmp_path):
    cells = []
    for seed, high in enumerate((0.2, 0.4)):
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        # means 0.1 and 0.2, the standard deviations alike
        np.savez(folder / "difficulty.npz", **{"epoch2/difficulty": high * FOCAL, "epoch2/focal": FOCAL})
        cells.append(FinishedCell(folder, "data", "ours", 0, seed, "0", {}, {}))
    cells.append(FinishedCell(tmp_path, "data", "unet", 0, 0, "0", {}, {}))
    assert difficulty_table(cells, ["unet", "ours"]).to_dict("records") == [
        {
            "system": "ours",
            "cells": 2,
            "mean of 1 - M": "0.15 (0.10 to 0.20)",
            "standard deviation of 1 - M": "0.15 (0.10 to 0.20)",
            "correlation with 1 - P̂": "1.00 (1.00 to 1.00)",
        }
    ]
