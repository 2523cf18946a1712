"""Intervals over cases of any statistic of pooled counts, paired between maps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def bootstrap_pooled(
    counts: np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int = 2000, seed: int = 0
) -> np.ndarray:
    """A statistic of all cases pooled, and of resamples of them.

    Cases are drawn with replacement. The draws depend on the number of cases and ``seed`` alone, so values of two maps
    are paired: the difference of the two is that of the maps on the same drawn cases.

    Args:
        counts: counts of each case, cases first; those of several cases add up.
        statistic: of pooled counts.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        ``resamples + 1`` values, the one of all cases first.

    Raises:
        ValueError: no case, or ``resamples`` is not positive.

    Example:
        >>> bootstrap_pooled(np.array([[1, 2], [1, 2]]), lambda counts: counts[0] / counts[1], resamples=3)
        array([0.5, 0.5, 0.5, 0.5])
    """
    check_resamples(resamples)
    if not len(counts):
        raise ValueError("counts must hold a case, got none")
    cases = len(counts)
    draws = np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), size=resamples)
    weights = np.concatenate([np.ones((1, cases)), draws])
    flat = counts.reshape(cases, -1).astype(float)
    used = flat.any(axis=0)  # most bins of a histogram are empty
    filled = flat[:, used]
    values = np.empty(len(weights))
    pooled = np.zeros(flat.shape[1])
    for i, weight in enumerate(weights):
        pooled[used] = weight @ filled
        values[i] = statistic(pooled.reshape(counts.shape[1:]))
    return values


def check_resamples(resamples: int) -> None:
    """Refuses a number of resamples of which there is no interval.

    Raises:
        ValueError: it is below 1.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")


def percentile_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The value of all cases and the 2.5th and 97.5th percentile of the resamples, those that are nan left out.

    Args:
        values: of :func:`bootstrap_pooled`, or a difference of two.

    Example:
        >>> percentile_interval(np.array([0.5, 0.0, 1.0, 2.0]))
        (0.5, 0.05, 1.95)
    """
    resampled = values[1:][np.isfinite(values[1:])]
    low, high = np.percentile(resampled, [2.5, 97.5]) if resampled.size else (np.nan, np.nan)
    return float(values[0]), float(low), float(high)
