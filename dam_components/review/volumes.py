"""What the viewer draws, as uncompressed NIfTI in memory: the image, the outlined segmentation, the doubt 1 - M."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.transforms import LoadImage

from dam_components.atomic_files import lacks_itk
from dam_components.errors import first_line

__all__ = ["image_bytes", "read_doubt", "read_segmentation", "volume_bytes"]

DRAWN = ("uint8", "int16", "uint16", "int32", "float32")  # types that every viewer of NIfTI reads
NIFTI = (".nii", ".nii.gz")


def image_bytes(path: Path) -> bytes:
    """The image's first channel. Any format that inference reads; what is no image is refused, not sent.

    Raises:
        ValueError: it cannot be read as an image; the message names the file.
    """
    if lacks_itk(path):
        raise ValueError(f"{path} is read by ITK: pip install 'dam-components[formats]'")
    array, affine = _read(path)
    while array.ndim > 3:
        array = array[..., 0]
    return volume_bytes(array, affine)


def read_segmentation(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The classes, ``(X, Y, Z)``, uint8, and the affine.

    Raises:
        ValueError: it cannot be read; the message names the file.
    """
    array, affine = _read(path)
    return _three_axes(array).astype(np.uint8), affine


def read_doubt(path: Path) -> np.ndarray:
    """1 - M, ``(X, Y, Z)``, float32 in 0..1. Maps in whole numbers with a slope are read as what they mean.

    Raises:
        ValueError: it cannot be read; the message names the file.
    """
    return _three_axes(1 - _read(path)[0].astype(np.float32)).clip(0, 1)


def volume_bytes(array: np.ndarray, affine: np.ndarray, labels: bool = False) -> bytes:
    """An array as a NIfTI file.

    Args:
        array: ``(X, Y)`` or ``(X, Y, Z)``.
        affine: 4 x 4, mm.
        labels: say in the header that the values are names, which the viewer outlines.

    Example:
        >>> len(volume_bytes(np.zeros((2, 2), np.uint8), np.eye(4)))
        356
    """
    array = _three_axes(array)
    if array.dtype.newbyteorder("=").name not in DRAWN:
        array = array.astype(np.float32)
    image = nib.Nifti1Image(array, affine)
    if labels:
        image.header.set_intent("label")
    return image.to_bytes()


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A file's array, channels last, and its affine."""
    try:
        if path.name.endswith(NIFTI):
            image: Any = nib.load(path)
            return np.asanyarray(image.dataobj), image.affine
        image = LoadImage(ensure_channel_first=True, image_only=True)(path)
        return np.moveaxis(image.numpy(), 0, -1), image.affine.numpy()
    except Exception as error:  # each reader has its own kinds
        reason = first_line(error)
        raise ValueError(f"{path} cannot be read as an image: {reason}") from error


def _three_axes(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    return array.reshape((*array.shape, 1, 1)[: max(3, array.ndim)]) if array.ndim < 3 else array
