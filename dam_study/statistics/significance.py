"""Is one system better than another on the same cases? Intervals, paired tests, and correction for many of them.

Cases are the unit throughout: average the seeds of a case first, since three runs on one case are no three patients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from dam_components.metrics.case_bootstrap import bootstrap_pooled, percentile_interval


class PairedDifference(NamedTuple):
    """A mean paired difference over cases.

    Attributes:
        cases: how many have both values.
        difference: mean of the one minus the other.
        low, high: its 95 % bootstrap interval over cases.
        wilcoxon_p: see :func:`wilcoxon_p`.
        permutation_p: see :func:`sign_flip_p`.
    """

    cases: int
    difference: float
    low: float
    high: float
    wilcoxon_p: float
    permutation_p: float


def mean_interval(values: ArrayLike, resamples: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Mean over cases and its 95 % bootstrap interval (percentiles, cases drawn with replacement); nan is left out.

    Args:
        values: one a case.
        resamples: of the bootstrap.
        seed: of the draws; with as many cases the draws are the same.

    Returns:
        Mean, lower and upper end; nan where no value is defined.

    Example:
        >>> mean_interval([0.5, 0.5, float("nan")])
        (0.5, 0.5, 0.5)
    """
    defined = _defined(values)
    if not defined.size:
        return np.nan, np.nan, np.nan
    sums = np.stack([defined, np.ones_like(defined)], axis=1)
    return percentile_interval(bootstrap_pooled(sums, lambda pooled: float(pooled[0] / pooled[1]), resamples, seed))


def wilcoxon_p(differences: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test (SciPy's); differences of 0 and nan are left out, none left gives 1.

    Example:
        >>> wilcoxon_p([1.0, 2.0, 3.0, 4.0, 5.0])  # 2 of the 32 ways to put signs are as extreme
        0.0625
    """
    nonzero = _defined(differences)
    nonzero = nonzero[nonzero != 0]
    return float(stats.wilcoxon(nonzero).pvalue) if nonzero.size else 1.0


def sign_flip_p(differences: ArrayLike, permutations: int = 9999, seed: int = 0) -> float:
    """Two-sided p of the mean under random signs of the differences, that is under shuffled labels within each case.

    It asks nothing of the differences but that each could as well have had the other sign if the systems were equal.
    All signs are tried where they are no more than ``permutations``, else so many are drawn; nan is left out. Fewer
    than 2 differences, or none but 0, give 1.

    Args:
        differences: one a case.
        permutations: sign patterns at most.
        seed: of the draws.

    Example:
        >>> sign_flip_p([1.0, 2.0, 3.0, 4.0, 5.0])
        0.0625
    """
    defined = _defined(differences)
    if len(defined) < 2 or not defined.any():
        return 1.0
    found = stats.permutation_test(
        (defined,),
        np.mean,
        permutation_type="samples",
        n_resamples=permutations,
        random_state=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def paired_difference(
    values: ArrayLike, reference: ArrayLike, resamples: int = 2000, permutations: int = 9999, seed: int = 0
) -> PairedDifference:
    """Mean of ``values - reference`` over cases, its interval, and both tests; cases without one of them are left out.

    Args:
        values: one a case.
        reference: the other system's, cases in the same order.
        resamples: of the bootstrap.
        permutations: of :func:`sign_flip_p`.
        seed: of both.

    Raises:
        ValueError: another number of cases.

    Example:
        >>> paired_difference([0.9, 0.8], [0.7, 0.6]).cases
        2
    """
    one, other = np.asarray(values, dtype=float), np.asarray(reference, dtype=float)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"values and reference must hold the same cases, got shapes {one.shape} and {other.shape}.")
    differences = _defined(one - other)
    if not differences.size:
        return PairedDifference(0, *[np.nan] * 5)
    interval = mean_interval(differences, resamples, seed)
    tests = wilcoxon_p(differences), sign_flip_p(differences, permutations, seed)
    return PairedDifference(differences.size, *interval, *tests)


def holm(p_values: ArrayLike) -> np.ndarray:
    r"""Holm's step-down correction: p-values that keep the chance of any false call among them below the level.

    The k-th smallest of m is multiplied by :math:`m - k + 1`, then none may be below a smaller one's, nor above 1
    (Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979). A nan
    belongs to no test and stays nan.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=float)
    corrected = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: np.isfinite(p).sum()]
    scaled = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected


def _defined(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    return array[~np.isnan(array)]
