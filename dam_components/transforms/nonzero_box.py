"""The box of the voxels that are not zero: what nnU-Net crops to, for images whose surroundings were blanked."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import CropForegroundd, MapTransform

__all__ = ["CropNonzerod", "FillOutsided"]


class CropNonzerod(CropForegroundd):
    """Crops to the box of the image's voxels that are not zero in some channel; ``Invertd`` brings the rest back.

    Shapes: ``(C, ...)`` to ``(C, ...)``, smaller.

    Args:
        keys: what is cropped.
        image_key: the image that gives the box.
        allow_missing_keys: pass data without one of the keys on.

    Example:
        >>> image = torch.zeros(1, 4, 4)
        >>> image[0, 1:3, 2] = 5
        >>> tuple(CropNonzerod("image")({"image": image})["image"].shape)
        (1, 2, 1)
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(
            keys,
            source_key=image_key,
            select_fn=is_not_zero,
            allow_smaller=True,
            start_coord_key=None,
            end_coord_key=None,
            allow_missing_keys=allow_missing_keys,
        )


def is_not_zero(image: torch.Tensor) -> torch.Tensor:
    """Voxels other than 0."""
    return image != 0


class FillOutsided(MapTransform):
    """What S and D were not shown is background, and sure: P̂ = (1, 0, ...) and M = 1 where the crop was undone.

    Run it after ``Invertd``, which leaves zeros there; a softmax sums to 1 elsewhere.

    Shapes: P̂ ``(C, ...)``, M ``(1, ...)``.

    Its arguments are those of ``MapTransform``; the keys are P̂, and M after it.

    Example:
        >>> data = {"pred": torch.tensor([[0.0, 0.3], [0.0, 0.7]]), "confidence": torch.tensor([[0.0, 0.8]])}
        >>> [value.tolist() for value in FillOutsided(["pred", "confidence"])(data).values()]
        [[[1.0, 0.30000001192092896], [0.0, 0.699999988079071]], [[1.0, 0.800000011920929]]]
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        pred, *maps = self.keys
        if pred not in result:
            return result
        outside = torch.as_tensor(result[pred]).sum(0) == 0
        for key, channel in ((pred, 0), *((key, 0) for key in maps if key in result)):
            filled: Any = result[key].clone()
            filled[channel][outside] = 1
            result[key] = filled
        return result
