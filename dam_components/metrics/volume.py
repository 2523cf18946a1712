"""Volume in millilitres, and how far a predicted volume is from the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def volume_ml(mask: ArrayLike, spacing_mm: Sequence[float]) -> float:
    """Volume of a mask: number of voxels that are not 0 times the volume of a voxel.

    Args:
        mask: mask of one structure, one axis for each value of ``spacing_mm``.
        spacing_mm: size of a voxel along each axis.

    Raises:
        ValueError: ``spacing_mm`` does not match the axes of the mask, or is not positive.

    Example:
        >>> volume_ml(np.ones((10, 10, 10)), (1.0, 1.0, 3.0))
        3.0
    """
    mask = np.asarray(mask)
    check_spacing(spacing_mm, mask.ndim)
    return int(np.count_nonzero(mask)) * math.prod(float(s) for s in spacing_mm) / 1000


def relative_volume_difference_percent(predicted_ml: float, reference_ml: float) -> float:
    r"""Signed relative volume difference :math:`100\,(V_{predicted} - V_{reference}) / V_{reference}`.

    Positive where the prediction is too large. Both volumes 0: 0. Only the reference 0: nan.

    Example:
        >>> relative_volume_difference_percent(45.0, 50.0)
        -10.0
    """
    if reference_ml == 0:
        return 0.0 if predicted_ml == 0 else math.nan
    return 100 * (predicted_ml - reference_ml) / reference_ml


def absolute_volume_difference_percent(predicted_ml: float, reference_ml: float) -> float:
    """Absolute value of :func:`relative_volume_difference_percent`, the aRVD of PROMISE12.

    Example:
        >>> absolute_volume_difference_percent(45.0, 50.0)
        10.0
    """
    return abs(relative_volume_difference_percent(predicted_ml, reference_ml))


def check_spacing(spacing_mm: Sequence[float], spatial_dims: int) -> None:
    """Raise ValueError unless ``spacing_mm`` holds one positive, finite value for each of ``spatial_dims`` axes."""
    if len(spacing_mm) != spatial_dims or not all(0 < s < math.inf for s in spacing_mm):
        raise ValueError(
            f"spacing_mm must be {spatial_dims} positive numbers, one for each axis of the volume, "
            f"got {tuple(spacing_mm)}."
        )
