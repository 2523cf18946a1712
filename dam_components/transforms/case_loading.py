"""Reading a case, with one clear error where something is wrong with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImaged, MapTransform
from monai.utils import ensure_tuple

from dam_components.data.bad_file import BadFile
from dam_components.data.dataset_layouts import CASE_KEY
from dam_components.data.grids import SAME_GRID, WHOLE_SHIFT, grid_shift
from dam_components.data.image_files import (
    check_image_file,
    check_size_of_values,
    put_readers,
    quiet_readers,
    unreadable,
)
from dam_components.data.label_values import round_labels, wrong_label
from dam_components.errors import first_line

__all__ = ["CheckCased", "LoadCased"]


# MONAI 1.6 keeps in NibabelReader the names of the files that it reads. CacheDataset shares it among threads: while one
# thread reads two channels, another that reads a label makes it forget the second.
ONE_AT_A_TIME = threading.Lock()


class LoadCased(LoadImaged):
    """MONAI's ``LoadImaged`` behind :func:`~dam_components.data.image_files.check_image_file`.

    A damaged file is refused before its voxels are read, in one line that names it. Axes of length 1 behind the three
    of space are dropped. A name under ``case`` goes along with the image, for files of results. Threads may share it.

    Args:
        keys: as in ``LoadImaged``, and all its other arguments by keyword.

    Raises:
        ValueError: if a file is missing, damaged or no image; if the channels of one case do not fit each other.
    """

    def __init__(self, keys: KeysCollection, **kwargs: Any) -> None:
        with quiet_readers():
            super().__init__(keys, **kwargs)
        put_readers(self._loader)
        self.whole: set[tuple[str, int, int]] = set()

    def __call__(self, data: Mapping[Hashable, Any], reader: Any = None) -> dict[Hashable, Any]:
        for key in self.key_iterator(dict(data)):
            for file in ensure_tuple(data[key]):
                self.check(file)
        try:
            with ONE_AT_A_TIME:
                loaded = super().__call__(data, reader)
        except Exception as error:
            raise self.named(error, data, reader) from None
        if CASE_KEY in data:
            for key in self.key_iterator(loaded):
                if isinstance(loaded[key], MetaTensor):
                    loaded[key].meta[CASE_KEY] = str(data[CASE_KEY])
        return loaded

    def check(self, file: Any) -> None:
        """Checks a file once, and again when it has changed."""
        if not isinstance(file, (str, os.PathLike)):
            return
        try:
            state = os.stat(file)
            known = (str(file), state.st_mtime_ns, state.st_size)
        except OSError:
            known = (str(file), 0, 0)
        if known not in self.whole:
            check_image_file(file)
            self.whole.add(known)

    def named(self, error: Exception, data: Mapping[Hashable, Any], reader: Any) -> Exception:
        """The error with the file that it is about."""
        for key in self.key_iterator(dict(data)):
            for file in ensure_tuple(data[key]):
                try:
                    with ONE_AT_A_TIME:
                        self._loader(file, reader)
                except Exception as cause:
                    return unreadable(file, cause)
        for key in self.key_iterator(dict(data)):
            files = ensure_tuple(data[key])
            if len(files) > 1:
                reason = first_line(error.__cause__ or error)
                names = ", ".join(str(file) for file in files[1:])
                return BadFile(files[0], f"does not fit its other channels {names} ({reason})", "give them one grid")
        return error


class CheckCased(MapTransform):
    """Checks a loaded, channel-first case and passes it on.

    It changes two things: label values within 0.001 of a whole number are made whole (files saved with a scale hold
    0.9999999), and a label whose grid differs from its image's by less than half a voxel is given the image's.

    Shapes: image ``(image_channels, ...)``, label ``(1, ...)``.

    Args:
        keys: the image, and the label if there is one: ``["image", "label"]``.
        image_channels: channels that S expects.
        num_classes: classes, background included: labels are whole numbers in 0..num_classes-1.
        allow_missing_keys: pass cases without a label.
        spatial_dims: of the image, that S expects; ``None``: any.

    Raises:
        ValueError: in one line that names the file: wrong number of channels or dimensions, NaN or infinity, image and
            label of different shapes or places (mirrored, another spacing, half a voxel apart), one-hot labels, labels
            that are not whole numbers in 0..num_classes-1.
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
        self.check_image(image)
        result = dict(data)
        for key in self.keys[1:]:
            if key in data:
                result[key] = self.check_label(image, data[key])
            elif not self.allow_missing_keys:
                raise ValueError(f"{file_name(image)} has no {key}; give one, or leave the case out")
        return result

    def check_image(self, image: Any) -> None:
        """The image against what S expects."""
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
        check_size_of_values(name, torch.as_tensor(image))
        low, high = torch.as_tensor(image).aminmax()
        if low == high and image[0].numel() > 1:
            raise ValueError(f"{name} is blank: every voxel is {float(low):g}; take it out, or export it again")

    def check_label(self, image: Any, label: Any) -> Any:
        """The label against its image and the classes."""
        name = file_name(label)
        if label.shape[0] != 1:
            raise ValueError(
                f"{name} has {label.shape[0]} channels; a label is one channel of class indices: take the index of "
                "each voxel's class, for example with numpy.argmax over the channels"
            )
        if label.shape[1:] != image.shape[1:]:
            raise ValueError(
                f"{name} has shape {tuple(label.shape[1:])}, its image {file_name(image)} {tuple(image.shape[1:])}; "
                "a label must lie on its image's grid"
            )
        label = on_grid(image, label)
        wrong = wrong_label(torch.unique(torch.as_tensor(label)).cpu(), self.num_classes)
        if wrong is not None:
            raise ValueError(
                f"{name} holds the label {wrong}; labels must be whole numbers in 0..{self.num_classes - 1} "
                "(num_classes - 1): relabel it, or set num_classes"
            )
        return round_labels(label)


def on_grid(image: Any, label: Any) -> Any:
    """The label, on the image's grid where it differs from it by rounding.

    Raises:
        ValueError: the label lies half a voxel or more beside its image.
    """
    if not (isinstance(image, MetaTensor) and isinstance(label, MetaTensor)):
        return label
    shift, words = grid_shift(image, label)
    if not shift <= WHOLE_SHIFT:
        raise ValueError(
            f"{file_name(label)} {words} its image {file_name(image)}; give it the image's spacing, origin and "
            "direction, once you have looked which of the two is right"
        )
    if shift <= SAME_GRID:
        return label
    moved: Any = label.clone()
    moved.affine = image.affine.clone()
    return moved


def file_name(image: Any) -> str:
    """The file that a MetaTensor came from, or "the case" where none is known."""
    return str(getattr(image, "meta", {}).get("filename_or_obj", "the case"))
