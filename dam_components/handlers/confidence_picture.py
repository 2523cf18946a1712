"""A picture of a case after each validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.handlers import TensorBoardHandler

from dam_components.figures import draw_case, draw_review, save_figure

__all__ = ["ConfidencePicture"]

KEYS = ("image", "label", "pred", "confidence")


class ConfidencePicture(TensorBoardHandler):
    """Handler for an evaluator: after each run a picture of its last case, image, label, prediction and M.

    It goes into TensorBoard and to ``log_dir/pictures/epoch_NNNN.png``. The evaluator's output must hold, decollated
    and channel-first, ``image``, ``label`` and ``pred`` (one-hot or indices) and ``confidence``. Where the image says
    how it lies, the picture is that of :func:`~dam_components.figures.draw_review`: radiological sides, R and L, a
    scale bar.

    Args:
        log_dir: TensorBoard's folder.
        interval: epochs from one picture to the next.
        label_names: name of each class by its index, for the legend; ``None``: none.
    """

    def __init__(self, log_dir: str, interval: int = 1, label_names: Mapping[Any, str] | None = None) -> None:
        super().__init__(log_dir=log_dir)
        self.folder = Path(log_dir) / "pictures"
        self.interval = interval
        self.names = {int(index): name for index, name in (label_names or {}).items()}

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the evaluator."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self)

    def __call__(self, engine: Engine) -> None:
        output: Any = engine.state.output
        item = {key: np.asarray(value.detach().cpu().float()) for key, value in output[-1].items() if key in KEYS}
        indices = {key: item[key].argmax(0) if len(item[key]) > 1 else item[key][0] for key in item}
        title = f"epoch {engine.state.epoch}"
        shown = item["image"][0], indices["pred"], item["confidence"][0]
        options: Any = {"label": indices.get("label"), "title": title, "names": self.names}
        image = output[-1]["image"]
        if isinstance(image, MetaTensor):
            figure = draw_review(*shown, affine=np.asarray(image.affine.cpu(), float), **options)
        else:
            figure = draw_case(*shown, **options)
        save_figure(figure, self.folder / f"epoch_{engine.state.epoch:04d}.png")
        self._writer.add_figure("case", figure, global_step=engine.state.epoch)
