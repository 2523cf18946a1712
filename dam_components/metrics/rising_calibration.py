"""Isotonic calibration of a confidence that keeps the order of its voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

__all__ = ["LEAST_ERRORS", "fit_rising_curve", "rising_curve"]

LEAST_ERRORS = 50  # fewer wrong voxels tell nothing of a curve
LIMIT = 16.0  # a float32 confidence has no larger logit
GAP = 1e-3  # of two knots


def fit_rising_curve(confidence: ArrayLike, right: ArrayLike, knots: int = 64) -> np.ndarray:
    """The rising curve from a confidence to the share of voxels that are right, on the logits of both.

    Isotonic regression (Zadrozny and Elkan 2002) of ``knots - 2`` groups of voxels, as many voxels in each. Its steps
    become knots that straight lines join, so the curve rises everywhere and no two voxels change places: AUROC and AUPR
    stay as they are. Confidence above and below all groups goes back to itself, at 0 and 1. With fewer than
    :data:`LEAST_ERRORS` wrong or right voxels it is the identity.

    Args:
        confidence: ``(N,)``, 0 to 1.
        right: ``(N,)``, whether the voxel is right.
        knots: of the curve, at least 3.

    Returns:
        ``(2, knots)``, float32: logits of the confidence, rising, and what becomes of each, rising too. For
        :func:`rising_curve`.

    Raises:
        ValueError: the shapes differ, a confidence is outside 0 to 1, or there are too few knots.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> says = draw.uniform(0.5, 1, 100_000)
        >>> curve = fit_rising_curve(says, draw.uniform(size=100_000) < says ** 2)
        >>> bool(np.abs(rising_curve(curve, np.array([0.6, 0.8, 0.9])) - [0.36, 0.64, 0.81]).max() < 0.03)
        True
    """
    says, true = np.asarray(confidence, dtype=np.float64), np.asarray(right).astype(bool)
    if says.shape != true.shape or says.ndim != 1:
        raise ValueError(
            f"confidence and right must be two lists of the same length, got {says.shape} and {true.shape}"
        )
    if knots < 3:
        raise ValueError(f"knots must be at least 3, got {knots}")
    if says.size and not (says.min() >= 0 and says.max() <= 1):
        raise ValueError(f"confidence must be from 0 to 1, got {says.min():g} to {says.max():g}")
    identity = np.linspace(-LIMIT, LIMIT, knots, dtype=np.float32)
    if min(true.sum(), (~true).sum()) < LEAST_ERRORS:
        return np.stack([identity, identity])
    where = logits(says)
    edges = np.unique(np.quantile(where, np.linspace(0, 1, knots - 1)[1:-1]))
    group = np.searchsorted(edges, where, side="right")
    sums = np.stack([np.bincount(group), np.bincount(group, where), np.bincount(group, true.astype(float))])
    count, center, of_right = sums[:, sums[0] > 0]
    center, share = center / count, (of_right + 0.5) / (count + 1)
    steps = IsotonicRegression().fit_transform(center, share, sample_weight=count)
    of_step = np.cumsum(np.diff(steps, prepend=steps[0]) > 0)  # groups that isotonic regression has made one
    weight = np.bincount(of_step, count)
    curve = np.stack(
        [np.bincount(of_step, count * center) / weight, logit(np.bincount(of_step, count * steps) / weight)]
    )
    ends = np.full((2, 1), LIMIT)
    before, after = -ends[:, curve[0, :1] > GAP - LIMIT], ends[:, curve[0, -1:] < LIMIT - GAP]
    curve = np.concatenate([before, curve, after], axis=1)
    curve = curve[:, np.diff(curve, prepend=-np.inf).min(axis=0) > GAP]
    more = knots - curve.shape[1]  # the others lie beyond every logit
    return np.concatenate([curve, curve[:, -1:] + np.arange(1, more + 1)], axis=1).astype(np.float32)


def rising_curve(curve: np.ndarray, confidence: ArrayLike) -> np.ndarray:
    """What becomes of a confidence: straight lines between the knots.

    Args:
        curve: of :func:`fit_rising_curve`.
        confidence: 0 to 1, any shape.
    """
    where = logits(confidence)
    inside = where.clip(curve[0, 0], curve[0, -1])
    return expit(np.interp(inside, curve[0].astype(np.float64), curve[1].astype(np.float64)) + where - inside)


def logits(confidence: ArrayLike) -> np.ndarray:
    """Finite ones."""
    with np.errstate(divide="ignore"):
        return logit(np.asarray(confidence, dtype=np.float64)).clip(-LIMIT, LIMIT)
