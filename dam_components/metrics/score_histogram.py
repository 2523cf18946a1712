"""Histograms of right and wrong voxels over doubt: how well doubt finds errors, over many cases pooled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma


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
        """Chance that a wrong voxel has more doubt than a right one, ties counting half; nan without one of each."""
        pairs = float(self.right.sum()) * float(self.wrong.sum())
        below = np.cumsum(self.right) - self.right
        return float(self.wrong @ (below + self.right / 2) / pairs) if pairs else math.nan

    def aupr(self) -> float:
        """Area under precision and recall of finding wrong voxels (average precision); nan without a wrong voxel."""
        found, taken = np.cumsum(self.wrong[::-1]), np.cumsum((self.right + self.wrong)[::-1])
        if not found[-1]:
            return math.nan
        return float(self.wrong[::-1] @ (found / np.maximum(taken, 1)) / found[-1])

    def aurc(self) -> float:
        """Area under the risk-coverage curve (Geifman and El-Yaniv 2017): low is good; nan without a voxel.

        Voxels are taken in order of growing doubt. Risk is the share of wrong ones among those taken so far, and the
        area its mean over all steps. Voxels of one bin are taken in the mean of all orders.
        """
        return risk_coverage_area(self.right, self.wrong)


def risk_coverage_area(right_counts: np.ndarray, wrong_counts: np.ndarray) -> float:
    r"""AURC of voxels in groups of equal doubt, given in order of growing doubt.

    A group of :math:`n` voxels, :math:`e` of them wrong, that comes after :math:`N_0` voxels with :math:`E_0` wrong
    adds :math:`\sum_{i=1}^n \frac{E_0 + i e / n}{N_0 + i} = e + (E_0 - N_0 e / n)(H_{N_0 + n} - H_{N_0})` to the sum
    of risks, with harmonic numbers :math:`H_k = \psi(k + 1) + \gamma`.

    Example:
        >>> risk_coverage_area(np.array([3, 1]), np.array([0, 4]))  # (4/5/4 + 8/5/5 + 12/5/6 + 16/5/7 + 20/5/8) / 8
        0.23464285714285715
    """
    size = right_counts + wrong_counts
    used = size > 0
    size, wrong = size[used].astype(float), wrong_counts[used].astype(float)
    if not size.size:
        return math.nan
    size_before, wrong_before = np.cumsum(size) - size, np.cumsum(wrong) - wrong
    harmonic = digamma(size_before + size + 1) - digamma(size_before + 1)
    return float((wrong + (wrong_before - size_before * wrong / size) * harmonic).sum() / size.sum())
