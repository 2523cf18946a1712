"""How a training of S and D went, from TensorBoard's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

__all__ = ["draw_training"]

LOSSES = {"segmentation_loss": "loss of S", "confidence_loss": "loss of D"}
METRIC = "val_mean_dice"
LEGEND = 8  # curves, at most


def draw_training(runs: Mapping[str, Sequence[Path]]) -> Figure | None:
    """Losses of S and D by iteration, a running mean, and the mean Dice of the validation by epoch.

    Args:
        runs: TensorBoard's files of each run by its name, which the legend shows where there are several.

    Returns:
        The figure; ``None`` where no file holds a loss of S.
    """
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for run, files in runs.items():
        curves = read_scalars(files)
        start = f"{run}: " if len(runs) > 1 else ""
        for tag, label in LOSSES.items():
            if tag in curves:
                steps, values = np.array(curves[tag]).T
                smooth = pd.Series(values).rolling(max(1, len(values) // 50), min_periods=1).mean()
                left.plot(steps, smooth, label=start + label)
        if METRIC in curves:
            right.plot(*np.array(curves[METRIC]).T, marker=".", label=run)
    if not left.get_lines():
        return None
    left.set(xlabel="iteration", ylabel="running mean of the loss")
    right.set(xlabel="epoch", ylabel="mean Dice of the validation cases")
    if len(left.get_lines()) <= LEGEND:
        left.legend(fontsize="small")
    return figure


def read_scalars(files: Sequence[Path]) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each curve that is drawn; of a step that was run again, the later value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves: dict[str, dict[int, float]] = {}
    for file in files:
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for tag in set(events.Tags()["scalars"]) & {*LOSSES, METRIC}:
            curves.setdefault(tag, {}).update((event.step, event.value) for event in events.Scalars(tag))
    return {tag: sorted(points.items()) for tag, points in curves.items()}
