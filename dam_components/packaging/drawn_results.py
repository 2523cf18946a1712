"""Two figures for a bundle's README: how its training went, and how good it is on each test case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

__all__ = ["draw_training", "draw_test_cases", "find_event_files"]

LOSSES = {"segmentation_loss": "loss of S", "confidence_loss": "loss of D"}
METRIC = "val_mean_dice"


def find_event_files(bundle: Path) -> list[Path]:
    """TensorBoard's files of the training of S and D together: where ``dam train`` or ``train.json`` leaves them.

    Args:
        bundle: the folder of the bundle.
    """
    for place in (bundle / "training" / "S", bundle / "output", bundle.parent):
        if files := sorted(place.glob("events.out.tfevents.*")):
            return files
    return []


def draw_training(files: Sequence[Path]) -> Figure | None:
    """Losses of S and D by iteration and the mean Dice of the validation by epoch.

    Args:
        files: of :func:`find_event_files`.

    Returns:
        The figure; ``None`` where the files hold no loss of S.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves: dict[str, list[tuple[int, float]]] = {}
    for file in files:
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for tag in set(events.Tags()["scalars"]) & {*LOSSES, METRIC}:
            curves.setdefault(tag, []).extend((event.step, event.value) for event in events.Scalars(tag))
    if "segmentation_loss" not in curves:
        return None
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for tag, label in LOSSES.items():
        if tag in curves:
            steps, values = np.array(sorted(curves[tag])).T
            left.plot(steps, pd.Series(values).rolling(max(1, len(values) // 50), min_periods=1).mean(), label=label)
    left.set(xlabel="iteration", ylabel="running mean of the loss")
    left.legend()
    if METRIC in curves:
        right.plot(*np.array(sorted(curves[METRIC])).T, marker=".")
    right.set(xlabel="epoch", ylabel="mean Dice of the validation cases")
    return figure


def draw_test_cases(metrics: pd.DataFrame) -> Figure:
    """Dice of every test case by class, with the median and the quartiles.

    Args:
        metrics: rows of ``metrics.csv`` with the columns ``label`` and ``dice``; whole structures alone.
    """
    names = list(dict.fromkeys(metrics["label"]))
    values = [metrics.loc[metrics["label"] == name, "dice"].dropna().to_numpy() for name in names]
    figure = Figure(figsize=(2 + 1.5 * len(names), 3), layout="constrained")
    axes = figure.subplots()
    axes.boxplot(values, showfliers=False, widths=0.5)
    for place, dice in enumerate(values, start=1):
        axes.plot(place + np.linspace(-0.15, 0.15, max(len(dice), 2))[: len(dice)], np.sort(dice), ".", alpha=0.6)
    axes.set_xticks(range(1, len(names) + 1), names)
    axes.set(ylabel="Dice", ylim=(-0.02, 1.02))
    return figure
