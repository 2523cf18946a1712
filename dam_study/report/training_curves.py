"""Curves of a training."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

__all__ = ["draw_training_curves"]

LOSSES = ("train_loss", "segmentation_loss", "confidence_loss", "adversarial_loss")
VALIDATED = "val_mean_dice"


def draw_training_curves(rows: pd.DataFrame) -> Figure:
    """Losses on the left, validation's mean Dice on the right, over the epochs of ``curves.csv``."""
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for column in LOSSES:
        left.plot(rows["epoch"], rows[column], label=column.replace("_", " "))
    validated = rows.dropna(subset=[VALIDATED])
    right.plot(validated["epoch"], validated[VALIDATED], marker=".")
    left.set(xlabel="epoch", title="loss")
    left.legend(frameon=False)
    right.set(xlabel="epoch", title="validation, mean Dice")
    return figure
