"""The review picture as a transform: one PNG a case, beside its report."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from dam_components.data.image_files import volume_loader
from dam_components.figures import draw_review, save_figure
from dam_components.plain_tensor import plain
from dam_components.transforms.case_report import case_file

__all__ = ["ReviewPictured"]


class ReviewPictured(MapTransform):
    """Draws ``<output_dir>/<case>/<case>_review.png``, see :func:`dam_components.figures.draw_review`.

    Run it after the argmax, with segmentation and M in the image's own space; the image is read again from its file, so
    that it is shown as it was acquired. Where ``CaseReportd`` ran before, the picture names its numbers. The data are
    not changed. Nothing is drawn without an ``output_dir`` or for a server's data.

    Args:
        keys: the segmentation as class indices, one key, ``(1, ...)``.
        label_names: name of each class by its index (as text or number), as in the bundle.
        confidence_key: M, ``(1, ...)``.
        image_key: the image, whose metadata name its file.
        output_dir: where pictures go; ``None``: nowhere.
        count: slices at most.
        band_mm: how far round a structure doubt counts.
        server_key: data with this key are a server's, as in ``CaseReportd``; ``None``: always draw.
        allow_missing_keys: pass data without a segmentation on.

    Raises:
        ValueError: the segmentation does not lie on the file's grid, or the image names no file.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_names: Mapping[Any, str],
        confidence_key: str = "confidence",
        image_key: str = "image",
        output_dir: str | os.PathLike | None = None,
        count: int = 3,
        band_mm: float = 3.0,
        server_key: str | None = "image_path",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name the segmentation, one key, got {list(self.keys)}")
        if count < 1:
            raise ValueError(f"count must be at least 1 slice, got {count}")
        self.label_names = {int(index): name for index, name in label_names.items()}
        self.confidence_key = confidence_key
        self.image_key = image_key
        self.output_dir = output_dir
        self.count = count
        self.band_mm = band_mm
        self.server_key = server_key
        self.read = volume_loader(ensure_channel_first=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        served = self.server_key is not None and self.server_key in data
        if self.output_dir is not None and not served:
            for key in self.key_iterator(dict(data)):
                self.draw(data[key], data[self.confidence_key], data[self.image_key], data.get("result", {}))
        return dict(data)

    def draw(self, prediction: Any, confidence: Any, image: Any, numbers: Mapping[str, Any]) -> None:
        """Writes the picture of one case."""
        target, source = case_file(image, self.output_dir, "review", ".png")
        original = self.read(source)
        if tuple(prediction.shape) != (1, *original.shape[1:]):
            raise ValueError(
                f"the segmentation has shape {tuple(prediction.shape)}, its image {source} "
                f"{tuple(original.shape[1:])}; run ReviewPictured after Invertd and the argmax"
            )
        arrays = [
            np.asarray(plain(v)[0].detach().cpu().to(dtype))
            for v, dtype in ((original, torch.float32), (prediction, torch.int16), (confidence, torch.float32))
        ]
        figure = draw_review(
            arrays[0],
            arrays[1],
            arrays[2],
            np.asarray(original.affine),
            names={index: legend(name, numbers) for index, name in self.label_names.items()},
            title=title(target.parent.name, numbers),
            count=self.count,
            band_mm=self.band_mm,
        )
        save_figure(figure, target)


def legend(name: str, numbers: Mapping[str, Any]) -> str:
    """A class and its predicted Dice."""
    dice, low, high = (numbers.get(f"{name.replace(' ', '_')}_predicted_dice{end}") for end in ("", "_low", "_high"))
    if dice is None:
        return name
    return f"{name}: predicted Dice {dice:.2f}" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f})")


def title(case: str, numbers: Mapping[str, Any]) -> str:
    """The case, what is expected of it, and why to look."""
    if "predicted_mean_dice" not in numbers:
        return case
    reasons = numbers["review_reasons"].replace("; ", "\n")
    mean = numbers["predicted_mean_dice"]
    head = f"{case}, " + ("no structure found" if mean is None else f"predicted mean Dice {mean:.2f}")
    return f"{head}\nfor review: {reasons}" if numbers["review"] else head
