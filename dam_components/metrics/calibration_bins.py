"""Calibration of many cases pooled: counts a case that add up, and what they say together."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def calibration_counts(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> np.ndarray:
    """Voxels, sum of confidence and right voxels in bins of equal width over [0, 1].

    Counts of several cases add up to those of all their voxels. A value on an edge belongs to the upper bin, 1 to the
    last (Guo et al. 2017).

    Args:
        confidence: probability that the segmentation is right, any shape.
        right: where it is right, boolean, same shape.
        bins: number of bins.

    Returns:
        ``(3, bins)``: voxels, sum of confidence, right voxels.

    Raises:
        ValueError: shapes differ, confidence is not in [0, 1], or ``right`` is not boolean.

    Example:
        >>> calibration_counts([0.1, 0.9, 0.8], [False, True, False], bins=2)
        array([[1. , 2. ],
               [0.1, 1.7],
               [0. , 1. ]])
    """
    probability, hit = np.asarray(confidence, dtype=np.float64).ravel(), np.asarray(right)
    if np.shape(confidence) != hit.shape or hit.dtype != bool:
        raise ValueError(
            f"right must be boolean and have the shape of confidence, {np.shape(confidence)}, "
            f"got {hit.dtype} {hit.shape}."
        )
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError(f"confidence must be in [0, 1], got {probability.min():g} to {probability.max():g}.")
    index = np.minimum((probability * bins).astype(int), bins - 1)
    weights = (np.ones_like(probability), probability, hit.ravel())
    return np.stack([np.bincount(index, weights=w, minlength=bins) for w in weights])


def pooled_calibration_error(counts: np.ndarray) -> float:
    r"""Expected calibration error of :func:`calibration_counts`, of a case or a sum of cases; nan without a voxel.

    It is the mean gap between confidence and accuracy, :math:`\sum_b \frac{n_b}{N} |accuracy_b - confidence_b|`.

    Example:
        >>> round(pooled_calibration_error(calibration_counts([0.9] * 4, [True, True, True, False])), 6)
        0.15
    """
    voxels, confidence, right = counts
    return float(np.abs(right - confidence).sum() / voxels.sum()) if voxels.sum() else math.nan
