"""Pictures of a case: image, label, prediction and confidence, slice by slice."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from dam_components.atomic_files import whole_file

__all__ = ["draw_case", "most_telling_slices", "save_figure"]

EDGE = [withStroke(linewidth=2, foreground="black")]  # white stays legible on white
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")  # for colour-blind eyes too


def most_telling_slices(score: np.ndarray, count: int, axis: int = -1, apart: int = 1) -> list[int]:
    """The ``count`` slices of largest total score along the axis, in anatomical order.

    Args:
        score: not negative.
        count: slices at most.
        axis: along which they lie.
        apart: least distance of two slices; fewer than ``count`` are given where no more fit.

    Example:
        >>> most_telling_slices(np.array([[0, 3, 1, 2]]), count=2)
        [1, 3]
        >>> most_telling_slices(np.array([[4, 3, 2, 1]]), count=2, apart=2)
        [0, 2]
    """
    totals = np.moveaxis(score, axis, -1).reshape(-1, score.shape[axis]).sum(0)
    chosen: list[int] = []
    for z in np.argsort(totals, kind="stable")[::-1].tolist():
        if len(chosen) < count and all(abs(z - other) >= apart for other in chosen):
            chosen.append(z)
    return sorted(chosen)


def draw_case(
    image: np.ndarray,
    prediction: np.ndarray,
    confidence: np.ndarray,
    label: np.ndarray | None = None,
    slices: Sequence[int] | None = None,
    aspect: float = 1.0,
    title: str = "",
    names: Mapping[int, str] | None = None,
    slice_names: Sequence[str] | None = None,
    sides: tuple[str, str] | None = None,
    pixel_mm: float | None = None,
) -> Figure:
    """Image with the contours of label (dashed) and prediction (solid), and beside it the doubt 1 - M.

    Args:
        image: ``(X, Y, Z)``, or ``(X, Y)``.
        prediction: class indices, the same shape.
        confidence: M in 0..1, the same shape.
        label: class indices, the same shape.
        slices: of the last axis; by default the three with the largest doubt.
        aspect: height of a pixel over its width, ``spacing[1] / spacing[0]``.
        title: above the picture.
        names: of the classes; gives a legend.
        slice_names: one for each of ``slices``; by default their numbers.
        sides: letters at the left and the right edge, such as ``("R", "L")``.
        pixel_mm: width of a pixel in millimetres, ``spacing[0]``; gives a scale bar.
    """
    image, prediction, confidence = (v[..., None] if v.ndim == 2 else v for v in (image, prediction, confidence))
    label = label[..., None] if label is not None and label.ndim == 2 else label
    if slices is None:
        slices = most_telling_slices((1 - confidence) * (prediction > 0), min(3, image.shape[-1]))
    slice_names = [f"slice {z}" for z in slices] if slice_names is None else slice_names
    height = float(np.clip(3.1 * aspect * image.shape[1] / image.shape[0], 1.6, 4.5))  # of a panel 3.1 inches wide
    top = 0.2 * (title.count("\n") + 1) if title else 0.0
    foot = 0.2 * len(names) + 0.1 if names else 0.0
    figure = Figure(figsize=(7.0, height * len(slices) + top + foot + 0.4), layout="constrained")
    axes = figure.subplots(len(slices), 2, squeeze=False)
    low, high = np.percentile(image, (1, 99.5))
    for (left, right), z, name in zip(axes, slices, slice_names, strict=True):
        left.imshow(image[..., z].T, cmap="gray", vmin=low, vmax=high, origin="lower", aspect=aspect)
        shown = right.imshow(1 - confidence[..., z].T, cmap="magma", vmin=0, vmax=1, origin="lower", aspect=aspect)
        for panel, volume, style, width in (
            (left, label, "dashed", 1.1),
            (left, prediction, "solid", 1.1),
            (right, prediction, "solid", 0.6),
        ):
            if volume is None:
                continue
            for index in np.setdiff1d(volume[..., z], 0).astype(int):
                mask = np.pad((volume[..., z] == index).T.astype(float), 1)  # closed at the picture's edge
                grid = [np.arange(-1, size - 1) for size in mask.shape[::-1]]
                panel.contour(*grid, mask, [0.5], colors=_colour(index), linestyles=style, linewidths=width)
        left.set_ylabel(name)
        mark_panel(left, sides, None if pixel_mm is None else (bar_mm(image.shape[0] * pixel_mm), pixel_mm))
        for panel in (left, right):
            panel.set(xticks=[], yticks=[], xlim=(-0.5, image.shape[0] - 0.5), ylim=(-0.5, image.shape[1] - 0.5))
    axes[0, 0].set_title("prediction" if label is None else "prediction, label dashed", fontsize=9)
    axes[0, 1].set_title("doubt 1 - M", fontsize=9)
    figure.colorbar(shown, ax=axes[:, 1], shrink=0.7)
    if names:
        lines = [Line2D([], [], color=_colour(index)) for index in names]
        figure.legend(lines, list(names.values()), loc="outside lower left", fontsize=9, frameon=False)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def mark_panel(panel: Axes, sides: tuple[str, str] | None, bar: tuple[float, float] | None) -> None:
    """Letters at the edges, and a scale bar with its length.

    Args:
        panel: the axes.
        sides: letters at the left and the right edge; ``None``: none.
        bar: length of the bar and width of a pixel, in millimetres; ``None``: no bar.
    """
    for letter, place, side in zip(sides or (), (0.03, 0.97), ("left", "right"), strict=False):
        where: dict[str, Any] = {"transform": panel.transAxes, "ha": side, "va": "center"}
        panel.text(place, 0.5, letter, color="white", fontsize=9, path_effects=EDGE, **where)
    if bar is not None:
        length_mm, pixel_mm = bar
        look: dict[str, Any] = {"color": "white", "frameon": False, "pad": 0.3, "sep": 2, "label_top": True}
        drawn = AnchoredSizeBar(
            *(panel.transData, length_mm / pixel_mm, f"{length_mm:g} mm", "lower right"),
            fontproperties=FontProperties(size=8),
            **look,
        )
        drawn.txt_label._text.set_path_effects(EDGE)
        drawn.size_bar.get_children()[0].set_path_effects(EDGE)
        panel.add_artist(drawn)


def bar_mm(width_mm: float) -> float:
    """Length of a scale bar: the largest of 1, 2, 5, 10, ... that is no more than a third of the picture.

    Example:
        >>> bar_mm(180.0), bar_mm(40.0), bar_mm(2.0)
        (50.0, 10.0, 0.5)
    """
    power = 10.0 ** np.floor(np.log10(width_mm / 3))
    return float(max(step * power for step in (1, 2, 5) if step * power <= width_mm / 3))


def _colour(index: int) -> str:
    return COLOURS[(index - 1) % len(COLOURS)]


def save_figure(figure: Figure, path: str | os.PathLike) -> Path:
    """Writes the figure as PNG, to a temporary name first."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    return Path(path)
