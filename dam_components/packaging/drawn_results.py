"""How good a bundle is on each test case, as a figure for its README, and where its training left its curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

__all__ = ["draw_test_cases", "find_event_files"]


def find_event_files(bundle: Path) -> list[Path]:
    """TensorBoard's files of the training of S and D together: where ``dam train`` or ``train.json`` leaves them.

    Args:
        bundle: the folder of the bundle.
    """
    for place in (bundle / "training" / "S", bundle / "output", bundle.parent):
        if files := sorted(place.glob("events.out.tfevents.*")):
            return files
    return []


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
