"""Reading a case, with one clear error where something is wrong with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import LoadImaged, MapTransform

from dam_components.atomic_files import lacks_itk

__all__ = ["CheckCased", "LoadCased"]


# MONAI 1.6 keeps in NibabelReader the names of the files that it reads. CacheDataset shares it among threads: while one
# thread reads two channels, another that reads a label makes it forget the second.
ONE_AT_A_TIME = threading.Lock()


class LoadCased(LoadImaged):
    """MONAI's ``LoadImaged``, whose error is one line that names the file, and which threads may share.

    Args:
        keys: as in ``LoadImaged``, and all its other arguments by keyword.

    Raises:
        ValueError: if a file cannot be read.
    """

    def __init__(self, keys: KeysCollection, **kwargs: Any) -> None:
        super().__init__(keys, **kwargs)

    def __call__(self, data: Mapping[Hashable, Any], reader: Any = None) -> dict[Hashable, Any]:
        try:
            with ONE_AT_A_TIME:
                return super().__call__(data, reader)
        except Exception as error:
            for key in self.key_iterator(dict(data)):
                try:
                    self._loader(data[key], reader)
                except Exception as cause:
                    reason = str(cause.__cause__ or cause).strip().splitlines()
                    remedy = "it is missing, cut short or no image: fetch it again"
                    if isinstance(data[key], (str, os.PathLike)) and lacks_itk(data[key]):
                        remedy = "MONAI reads its format with ITK: pip install itk-io"
                    raise ValueError(
                        f"{data[key]} cannot be read ({reason[0] if reason else type(cause).__name__}); {remedy}"
                    ) from None
            raise error


class CheckCased(MapTransform):
    """Checks a loaded, channel-first case and passes it on unchanged.

    Shapes: image ``(image_channels, ...)``, label ``(1, ...)``.

    Args:
        keys: the image, and the label if there is one: ``["image", "label"]``.
        image_channels: channels that S expects.
        num_classes: classes, background included: labels are whole numbers in 0..num_classes-1.
        allow_missing_keys: pass cases without a label.
        spatial_dims: of the image, that S expects; ``None``: any.

    Raises:
        ValueError: in one line that names the file: wrong number of channels or dimensions, NaN or infinity, image and
            label of different shapes, labels that are not whole numbers in 0..num_classes-1.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_channels: int,
        num_classes: int,
        allow_missing_keys: bool = False,
        spatial_dims: int | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not 1 <= len(self.keys) <= 2:
            raise ValueError(f"keys must name the image, and may name the label after it, got {list(self.keys)}")
        self.image_channels = image_channels
        self.num_classes = num_classes
        self.spatial_dims = spatial_dims

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        image = data[self.keys[0]]
        name = file_name(image)
        if image.shape[0] != self.image_channels:
            raise ValueError(
                f"{name} has {image.shape[0]} channels, the configuration expects {self.image_channels} "
                "(image_channels): give as many, or take another task's configuration"
            )
        if self.spatial_dims is not None and image.ndim - 1 != self.spatial_dims:
            raise ValueError(
                f"{name} has {image.ndim - 1} dimensions, the configuration expects {self.spatial_dims}: give the "
                "whole volume as one file"
            )
        if not torch.isfinite(torch.as_tensor(image)).all():
            raise ValueError(f"{name} holds NaN or infinite voxels; replace them before training or inference")
        for key in self.keys[1:]:
            if key in data:
                self.check_label(image, data[key])
            elif not self.allow_missing_keys:
                raise ValueError(f"{name} has no {key}; give one, or leave the case out")
        return dict(data)

    def check_label(self, image: Any, label: Any) -> None:
        """The label against its image and the classes."""
        name = file_name(label)
        if label.shape[1:] != image.shape[1:]:
            raise ValueError(
                f"{name} has shape {tuple(label.shape[1:])}, its image {file_name(image)} {tuple(image.shape[1:])}; "
                "a label must lie on its image's grid"
            )
        values = torch.unique(torch.as_tensor(label))
        wrong = [v for v in values.tolist() if not (0 <= v < self.num_classes and v == int(v))]  # nan is wrong too
        if wrong:
            raise ValueError(
                f"{name} holds the label {wrong[0]:g}; labels must be whole numbers in 0..{self.num_classes - 1} "
                "(num_classes - 1): relabel it, or set num_classes"
            )


def file_name(image: Any) -> str:
    """The file that a MetaTensor came from, or "the case" where none is known."""
    return str(getattr(image, "meta", {}).get("filename_or_obj", "the case"))
