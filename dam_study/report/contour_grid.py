"""Figures 2 and 5: what the systems drew on the same slices, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dam_components.figures.pictures import COLOURS
from dam_study.experiments.cell_arrays import SlicePair

__all__ = ["draw_contour_grid", "outline"]

COLUMNS = 6
MARGIN = 10  # voxels around what is drawn


def draw_contour_grid(
    rows: Sequence[tuple[str, Mapping[str, SlicePair]]], systems: Sequence[str], names: Mapping[int, str] | None = None
) -> Figure:
    """A row a slice, a column a system: the image with the contours of truth (dashed) and prediction (solid).

    More than six systems go on in further lines of the same slice. Each slice is cropped to what is drawn in it.

    Args:
        rows: a title, and each system's arrays ``image``, ``label``, ``prediction``, ``(X, Y)``.
        systems: in the order of the columns.
        names: of the classes; gives a legend.
    """
    blocks = [systems[start : start + COLUMNS] for start in range(0, len(systems), COLUMNS)]
    wide = len(blocks[0])
    figure = Figure(figsize=(max(1.7 * wide, 3.0), 1.9 * len(rows) * len(blocks) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows) * len(blocks), wide, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for i, (title, by_system) in enumerate(rows):
        crop = _crop([pair[key] for pair in by_system.values() for key in ("label", "prediction")])
        for j, system in enumerate(systems):
            panel = axes[i * len(blocks) + j // COLUMNS, j % COLUMNS]
            pair = {key: by_system[system][key][crop] for key in ("image", "label", "prediction")}
            low, high = np.percentile(pair["image"], (1, 99.5))
            panel.imshow(pair["image"].T, cmap="gray", vmin=low, vmax=high, origin="lower")
            outline(panel, pair["label"], linestyles="dashed", linewidths=1.0)
            outline(panel, pair["prediction"], linestyles="solid", linewidths=1.0)
            panel.set_title(f"{title}\n{system}" if j == 0 else system, fontsize=7)
    lines = [Line2D([], [], color="black", linestyle=style) for style in ("dashed", "solid")]
    texts = ["truth", "prediction"]
    for index, name in (names or {}).items():
        lines.append(Line2D([], [], color=COLOURS[(index - 1) % len(COLOURS)]))
        texts.append(name)
    figure.legend(lines, texts, loc="outside lower left", fontsize=7, frameon=False, ncols=len(texts))
    return figure


def outline(panel: Axes, labels: np.ndarray, **style: Any) -> None:
    """Contours of each class of a slice ``(X, Y)``, closed at the picture's edge."""
    for index in np.setdiff1d(labels, 0).astype(int):
        mask = np.pad((labels == index).T.astype(float), 1)
        grid = [np.arange(-1, size - 1) for size in mask.shape[::-1]]
        panel.contour(*grid, mask, [0.5], colors=COLOURS[(index - 1) % len(COLOURS)], **style)


def _crop(masks: Sequence[np.ndarray]) -> tuple[slice, slice]:
    drawn = np.any([mask > 0 for mask in masks], axis=0)
    if not drawn.any():
        return slice(None), slice(None)
    ends = [np.flatnonzero(drawn.any(axis)) for axis in (1, 0)]
    x, y = (slice(max(0, int(where[0]) - MARGIN), int(where[-1]) + 1 + MARGIN) for where in ends)
    return x, y
