"""Histograms of right and wrong voxels over doubt: pooled curves of many cases, and bootstraps over them, for cheap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dam_components.metrics.confidence_quality import risk_coverage_area


def logit_scale(doubt: np.ndarray, floor: float = 1e-8) -> np.ndarray:
    r"""Doubt in [0, 1] on a scale that is fine near 0 and near 1: the logit, cut at ``floor`` and brought to [0, 1].

    Softmax doubt piles up near 0 (1e-6 is common), where equal bins would make ties of almost all voxels.

    Args:
        doubt: values in [0, 1], float64 where values within 1e-7 of 1 matter.
        floor: values below it count as ``floor``, values above 1 - ``floor`` as that.

    Example:
        >>> logit_scale(np.array([0.0, 0.5, 1.0]))
        array([0. , 0.5, 1. ])
    """
    cut = np.clip(np.asarray(doubt, dtype=np.float64), floor, 1 - floor)
    end = np.log(floor) - np.log1p(-floor)
    return np.clip(0.5 - (np.log(cut) - np.log1p(-cut)) / (2 * end), 0, 1)


@dataclass(frozen=True)
class ScoreHistogram:
    """Counts of right and wrong voxels of a case, or of cases pooled by ``+``, in bins of growing doubt.

    Voxels of one bin count as ties, so the statistics are those of the doubt rounded to its bin. With the default 4096
    bins on :func:`logit_scale` they agree with the exact ones to 1e-3 for doubt that is spread over many bins.

    Attributes:
        right: right voxels in each bin.
        wrong: wrong voxels in each bin.

    Example:
        >>> case = ScoreHistogram.from_scores([0.01, 0.02, 0.9], [False, False, True])
        >>> other = ScoreHistogram.from_scores([0.3, 0.4], [True, False])
        >>> case.auroc(), (case + other).auroc()
        (1.0, 0.8333333333333334)
    """

    right: np.ndarray
    wrong: np.ndarray

    def __post_init__(self) -> None:
        if self.right.ndim != 1 or self.right.shape != self.wrong.shape:
            raise ValueError(
                f"right and wrong must be vectors of one length, got shapes {self.right.shape} and {self.wrong.shape}."
            )

    @classmethod
    def from_scores(
        cls,
        doubt: ArrayLike,
        wrong: ArrayLike,
        bins: int = 4096,
        transform: Callable[[np.ndarray], np.ndarray] = logit_scale,
    ) -> ScoreHistogram:
        """Count a case.

        Args:
            doubt: doubt of the voxels that count, any shape.
            wrong: where the segmentation is wrong, boolean, same shape.
            bins: number of bins.
            transform: monotone map of the doubt to [0, 1], where bins have equal width. The default takes doubt in
                [0, 1]; bring other scores there first (entropy: divide by the logarithm of the number of classes).

        Raises:
            ValueError: shapes differ, ``wrong`` is not boolean, ``bins`` is not positive, or the transform leaves
                [0, 1].
        """
        score, error = np.asarray(doubt), np.asarray(wrong)
        if score.shape != error.shape:
            raise ValueError(f"doubt and wrong must have the same shape, got {score.shape} and {error.shape}.")
        if error.dtype != bool:
            raise ValueError(f"wrong must be boolean, got {error.dtype}.")
        if bins < 1:
            raise ValueError(f"bins must be at least 1, got {bins}.")
        if score.size and transform is logit_scale and not (score.min() >= 0 and score.max() <= 1):
            raise ValueError(
                f"doubt must be in [0, 1], got {score.min():g} to {score.max():g}: scale it, or pass a transform."
            )
        scaled = np.asarray(transform(score)).ravel()
        if scaled.size and not (scaled.min() >= 0 and scaled.max() <= 1):  # nan fails it too
            raise ValueError(f"transform must map doubt to [0, 1], got {scaled.min():g} to {scaled.max():g}.")
        index = np.minimum((scaled * bins).astype(int), bins - 1)
        error = error.ravel()
        return cls(np.bincount(index[~error], minlength=bins), np.bincount(index[error], minlength=bins))

    def __add__(self, other: ScoreHistogram) -> ScoreHistogram:
        if self.right.shape != other.right.shape:
            raise ValueError(f"histograms must have the same bins, got {self.right.size} and {other.right.size}.")
        return ScoreHistogram(self.right + other.right, self.wrong + other.wrong)

    def auroc(self) -> float:
        """As :func:`~dam_components.metrics.error_auroc`; nan without a wrong or without a right voxel."""
        pairs = float(self.right.sum()) * float(self.wrong.sum())
        below = np.cumsum(self.right) - self.right
        return float(self.wrong @ (below + self.right / 2) / pairs) if pairs else math.nan

    def aupr(self) -> float:
        """As :func:`~dam_components.metrics.error_aupr`; nan without a wrong voxel."""
        found, taken = np.cumsum(self.wrong[::-1]), np.cumsum((self.right + self.wrong)[::-1])
        if not found[-1]:
            return math.nan
        return float(self.wrong[::-1] @ (found / np.maximum(taken, 1)) / found[-1])

    def aurc(self) -> float:
        """As :func:`~dam_components.metrics.aurc`; nan without a voxel."""
        return risk_coverage_area(self.right, self.wrong)


class BootstrapDifference(NamedTuple):
    """A statistic's difference and its 95 % interval."""

    difference: float
    low: float
    high: float


def bootstrap_difference(
    histograms_a: Sequence[ScoreHistogram],
    histograms_b: Sequence[ScoreHistogram],
    statistic: Callable[[ScoreHistogram], float],
    resamples: int = 2000,
    seed: int = 0,
) -> BootstrapDifference:
    """Difference of a pooled statistic between two maps on the same cases, with a bootstrap interval over cases.

    Cases are drawn with replacement, the same ones for both maps; the interval runs from the 2.5th to the 97.5th
    percentile of the resampled differences. Resamples where the statistic is nan (no wrong voxel drawn) are left out;
    if all are, the interval is nan.

    Args:
        histograms_a: one histogram a case.
        histograms_b: the other map's, cases in the same order.
        statistic: of pooled voxels, for example ``ScoreHistogram.auroc``.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        Statistic of a minus statistic of b on all cases, and the interval's ends.

    Raises:
        ValueError: no case, another number of cases or bins, or ``resamples`` is not positive.

    Example:
        >>> wrong = np.array([False, False, True])
        >>> a = [ScoreHistogram.from_scores([0.1, 0.2, 0.9], wrong)] * 5
        >>> b = [ScoreHistogram.from_scores([0.5, 0.5, 0.5], wrong)] * 5
        >>> tuple(bootstrap_difference(a, b, ScoreHistogram.auroc, resamples=10))
        (0.5, 0.5, 0.5)
    """
    if not histograms_a or len(histograms_a) != len(histograms_b):
        raise ValueError(
            "histograms_a and histograms_b must hold the same cases, at least one, "
            f"got {len(histograms_a)} and {len(histograms_b)}."
        )
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}.")
    counts_a, counts_b = _stack(histograms_a), _stack(histograms_b)
    cases = len(histograms_a)

    def difference(weights: np.ndarray) -> float:
        return statistic(_pool(counts_a, weights)) - statistic(_pool(counts_b, weights))

    rng = np.random.default_rng(seed)
    draws = rng.multinomial(cases, np.full(cases, 1 / cases), size=resamples).astype(float)
    differences = np.array([difference(weights) for weights in draws])
    differences = differences[np.isfinite(differences)]
    low, high = np.percentile(differences, [2.5, 97.5]) if differences.size else (math.nan, math.nan)
    return BootstrapDifference(difference(np.ones(cases)), float(low), float(high))


def _stack(histograms: Sequence[ScoreHistogram]) -> tuple[np.ndarray, np.ndarray]:
    """Right and wrong counts, (cases, bins), without the bins that are empty in all cases."""
    sizes = {histogram.right.size for histogram in histograms}
    if len(sizes) > 1:
        raise ValueError(f"histograms must have the same bins, got {sorted(sizes)}.")
    right = np.stack([histogram.right for histogram in histograms]).astype(float)
    wrong = np.stack([histogram.wrong for histogram in histograms]).astype(float)
    used = (right + wrong).any(axis=0)
    return right[:, used], wrong[:, used]


def _pool(counts: tuple[np.ndarray, np.ndarray], weights: np.ndarray) -> ScoreHistogram:
    return ScoreHistogram(weights @ counts[0], weights @ counts[1])
