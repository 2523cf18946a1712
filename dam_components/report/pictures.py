"""Pictures of a case: image, label, prediction and confidence, slice by slice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from monai.handlers import TensorBoardHandler

__all__ = ["ConfidencePicture", "draw_case", "most_telling_slices", "save_figure"]

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")  # told apart by colour-blind eyes


def most_telling_slices(score: np.ndarray, count: int, axis: int = -1) -> list[int]:
    """The ``count`` slices of largest total score along the axis, in anatomical order.

    Example:
        >>> most_telling_slices(np.array([[0, 3, 1, 2]]), count=2)
        [1, 3]
    """
    totals = np.moveaxis(score, axis, -1).reshape(-1, score.shape[axis]).sum(0)
    return sorted(np.argsort(totals, kind="stable")[::-1][:count].tolist())


def draw_case(
    image: np.ndarray,
    prediction: np.ndarray,
    confidence: np.ndarray,
    label: np.ndarray | None = None,
    slices: Sequence[int] | None = None,
    aspect: float = 1.0,
    title: str = "",
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
    """
    volumes = [v[..., None] if v is not None and v.ndim == 2 else v for v in (image, prediction, confidence, label)]
    image, prediction, confidence, label = volumes
    if slices is None:
        slices = most_telling_slices((1 - confidence) * (prediction > 0), min(3, image.shape[-1]))
    figure = Figure(figsize=(6.4, 3.1 * len(slices) + 0.5), layout="constrained")
    axes = figure.subplots(len(slices), 2, squeeze=False)
    low, high = np.percentile(image, (1, 99.5))
    for (left, right), z in zip(axes, slices, strict=True):
        left.imshow(image[..., z].T, cmap="gray", vmin=low, vmax=high, origin="lower", aspect=aspect)
        for volume, style in ((label, "dashed"), (prediction, "solid")):
            for index in np.unique(volume[..., z]).astype(int) if volume is not None else ():
                if index > 0:
                    mask = (volume[..., z] == index).T.astype(float)
                    left.contour(mask, [0.5], colors=COLOURS[(index - 1) % len(COLOURS)], linestyles=style, linewidths=1.1)
        shown = right.imshow(1 - confidence[..., z].T, cmap="magma", vmin=0, vmax=1, origin="lower", aspect=aspect)
        left.set_ylabel(f"slice {z}")
        for panel in (left, right):
            panel.set_xticks([])
            panel.set_yticks([])
    axes[0, 0].set_title("prediction" if label is None else "prediction, label dashed", fontsize=9)
    axes[0, 1].set_title("doubt 1 - M", fontsize=9)
    figure.colorbar(shown, ax=axes[:, 1], shrink=0.7)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike) -> Path:
    """Writes the figure as PNG, to a temporary name first."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}_{path.name}")
    figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    os.replace(temporary, path)
    return path


class ConfidencePicture(TensorBoardHandler):
    """Handler for an evaluator: after each run a picture of its last case, image, label, prediction and M.

    It goes into TensorBoard and to ``log_dir/pictures/epoch_NNNN.png``. The evaluator's output must hold, decollated and
    channel-first, ``image``, ``label`` and ``pred`` (one-hot or indices) and ``confidence``.

    Args:
        log_dir: TensorBoard's folder.
        interval: epochs from one picture to the next.
    """

    def __init__(self, log_dir: str, interval: int = 1) -> None:
        super().__init__(log_dir=log_dir)
        self.folder = Path(log_dir) / "pictures"
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self)

    def __call__(self, engine: Engine) -> None:
        item = engine.state.output[-1]
        image, prediction, confidence, label = (
            None if item.get(key) is None else np.asarray(item[key].detach().cpu().float())
            for key in ("image", "pred", "confidence", "label")
        )
        indices = [None if v is None else v.argmax(0) if len(v) > 1 else v[0] for v in (prediction, label)]
        figure = draw_case(image[0], indices[0], confidence[0], indices[1], title=f"epoch {engine.state.epoch}")
        save_figure(figure, self.folder / f"epoch_{engine.state.epoch:04d}.png")
        self._writer.add_figure("case", figure, global_step=engine.state.epoch)
