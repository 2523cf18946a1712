"""The voxels near a structure's surface, where a segmentation can go wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import distance_transform_edt

from dam_components.metrics.volume import check_spacing


def error_band(
    label: ArrayLike, prediction: ArrayLike, spacing_mm: Sequence[float], width_mm: float = 3.0
) -> np.ndarray:
    r"""Voxels within ``width_mm`` of a surface of the label or of the prediction.

    A surface lies where neighbouring voxels of one volume differ in value: between a structure and the background and
    between two structures. A voxel belongs to the band if, in the label or in the prediction, the nearest voxel of
    another value than its own is at most ``width_mm`` away, centre to centre, so the band has the same width on both
    sides of the surface. The volume's border is no surface. A volume of one value has no surface; two such volumes
    give an empty band. Take care that the width reaches the next slice where the slices are thick.

    Args:
        label: integer labels, 0 for background.
        prediction: integer labels of the same shape.
        spacing_mm: size of a voxel along each axis.
        width_mm: largest distance to the other side of a surface.

    Returns:
        Boolean mask of the volume's shape.

    Raises:
        ValueError: shapes differ, the spacing does not fit, or the width is not positive.

    Example:
        >>> label = np.array([0, 0, 0, 0, 1, 1, 1, 1])
        >>> error_band(label, label, (1.0,), width_mm=2.0).astype(int)
        array([0, 0, 1, 1, 1, 1, 0, 0])
    """
    label, prediction = np.asarray(label), np.asarray(prediction)
    if label.shape != prediction.shape:
        raise ValueError(f"label and prediction must have the same shape, got {label.shape} and {prediction.shape}.")
    check_spacing(spacing_mm, label.ndim)
    if not 0 < width_mm < math.inf:
        raise ValueError(f"width_mm must be positive, got {width_mm}.")
    band = np.zeros(label.shape, dtype=bool)
    foreground = np.argwhere((label != 0) | (prediction != 0))
    if not foreground.size:
        return band
    # One side of every surface is foreground, so the transform is needed within the width of the foreground only.
    reach = [math.ceil(width_mm / s) for s in spacing_mm]
    low, high = foreground.min(0), foreground.max(0) + 1
    near = tuple(slice(max(0, int(a) - r), int(b) + r) for a, b, r in zip(low, high, reach, strict=True))
    for volume in (label[near],) if prediction is label else (label[near], prediction[near]):
        for value in np.unique(volume):
            own = volume == value
            if not own.all():
                band[near] |= own & (distance_transform_edt(own, sampling=spacing_mm) <= width_mm)
    return band
