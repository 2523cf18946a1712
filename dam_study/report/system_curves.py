"""Learning curves of several systems side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dam_components.figures.pictures import COLOURS
from dam_study.experiments.finished_cell import FinishedCell

__all__ = ["draw_system_curves", "read_curves"]

PANELS = {
    "val_mean_dice": "validation, mean Dice",
    "segmentation_loss": "loss of S, its own of each system",
    "confidence_loss": "loss of D",
}
STYLES = ("-", "--", ":")


def read_curves(cell: FinishedCell) -> pd.DataFrame | None:
    """The rows of a cell's ``curves.csv``; ``None`` where there is none, for a system that is not trained by epochs.

    Raises:
        ValueError: if it holds no numbers by epoch; it names the file and what to do.
    """
    path = cell.folder / "curves.csv"
    if not path.is_file():
        return None
    try:
        return pd.read_csv(path).astype(dict.fromkeys(("epoch", *PANELS), float))
    except (ValueError, KeyError):  # pandas' own errors are ValueErrors
        raise ValueError(
            f"{path} holds no training curves: remove the folder {cell.folder} and run its cell again"
        ) from None


def draw_system_curves(curves: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Three panels over the epochs; a thick line is a system's mean over its cells, thin ones are the cells.

    Args:
        curves: of each system the frames of its cells.
    """
    figure = Figure(figsize=(11.0, 3.9), layout="constrained")
    axes = figure.subplots(1, len(PANELS))
    for i, (system, frames) in enumerate(curves.items()):
        style = {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i // len(COLOURS) % len(STYLES)]}
        for panel, column in zip(axes, PANELS, strict=True):
            lines = [frame.set_index("epoch")[column].dropna() for frame in frames]
            for line in lines if len(lines) > 1 else []:
                panel.plot(line, linewidth=0.5, alpha=0.4, **style)
            mean = pd.concat(lines).groupby(level=0).mean() if lines else pd.Series(dtype=float)
            panel.plot(mean, linewidth=1.5, label=system if column == "val_mean_dice" else None, **style)
    for panel, title in zip(axes, PANELS.values(), strict=True):
        panel.set(title=title, xlabel="epoch")
        panel.grid(alpha=0.3)
        drawn = [float(y) for line in panel.lines for y in np.asarray(line.get_ydata())]
        if drawn and 0 < 50 * min(drawn) < max(drawn):
            panel.set_yscale("log")
    figure.legend(loc="outside lower center", fontsize=8, frameon=False, ncols=6)
    return figure
