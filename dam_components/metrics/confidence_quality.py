"""How well a confidence map tells a segmentation's right voxels from its wrong ones, and its good cases from its bad.

Doubt is high where an error is feared: :math:`1 - M`, one minus the largest probability, entropy. The functions take
the voxels that count, for example ``doubt[band]``, in any shape.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score


def error_auroc(doubt: ArrayLike, wrong: ArrayLike) -> float:
    """Probability that a wrong voxel has more doubt than a right one, ties counting one half (scikit-learn's AUROC).

    Constant doubt gives 0.5. Without a wrong or without a right voxel: nan.

    Args:
        doubt: any monotone score of doubt.
        wrong: where the segmentation is wrong, same shape.

    Raises:
        ValueError: shapes differ, doubt is not finite, or ``wrong`` is not boolean.

    Example:
        >>> error_auroc([0.1, 0.2, 0.9], [False, False, True])
        1.0
    """
    score, error = _voxels(doubt, wrong, "doubt", "wrong")
    if error.all() or not error.any():
        return math.nan
    return float(roc_auc_score(error, score))


def error_aupr(doubt: ArrayLike, wrong: ArrayLike) -> float:
    """Area under precision and recall of finding wrong voxels (scikit-learn's average precision).

    Constant doubt gives the share of wrong voxels, which is 1 if all are wrong. Without a wrong voxel: nan.

    Args and Raises as :func:`error_auroc`.

    Example:
        >>> error_aupr([0.5, 0.5, 0.5, 0.5], [False, False, False, True])
        0.25
    """
    score, error = _voxels(doubt, wrong, "doubt", "wrong")
    return float(average_precision_score(error, score)) if error.any() else math.nan


def aurc(doubt: ArrayLike, wrong: ArrayLike) -> float:
    r"""Area under the risk-coverage curve (Geifman and El-Yaniv 2017): low is good.

    Voxels are taken in order of growing doubt; risk is the share of wrong voxels among those taken so far, and the
    area is its mean over all :math:`N` steps. Voxels of equal doubt are taken in the mean of all orders, so their
    order in memory does not matter: constant doubt gives the share of wrong voxels. No voxel at all: nan.

    Args and Raises as :func:`error_auroc`.

    Example:
        >>> aurc([0.1, 0.2, 0.3, 0.9], [False, False, False, True])
        0.0625
    """
    score, error = _voxels(doubt, wrong, "doubt", "wrong")
    values, group = np.unique(score, return_inverse=True)
    wrong_counts = np.bincount(group, weights=error, minlength=values.size)
    return risk_coverage_area(np.bincount(group, minlength=values.size) - wrong_counts, wrong_counts)


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


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    r"""Mean gap between confidence and accuracy, :math:`\sum_b \frac{n_b}{N} |accuracy_b - confidence_b|`.

    Guo et al. 2017: bins of equal width over [0, 1], each with its share of right voxels and its mean confidence. A
    value on an edge belongs to the upper bin, 1 to the last. No voxel at all: nan.

    Args:
        confidence: probability that the segmentation is right, M.
        right: where it is right, same shape.
        bins: number of bins.

    Raises:
        ValueError: shapes differ, confidence is not in [0, 1], ``right`` is not boolean, or ``bins`` is not positive.

    Example:
        >>> round(expected_calibration_error([0.9, 0.9, 0.9, 0.9], [True, True, True, False]), 6)
        0.15
    """
    probability, hit = _voxels(confidence, right, "confidence", "right")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}.")
    if not probability.size:
        return math.nan
    if probability.min() < 0 or probability.max() > 1:
        raise ValueError(
            f"confidence must be in [0, 1], got {probability.min():g} to {probability.max():g}: apply the sigmoid."
        )
    index = np.minimum((probability * bins).astype(int), bins - 1)
    gap = np.bincount(index, weights=hit - probability, minlength=bins)
    return float(np.abs(gap).sum() / probability.size)


class CaseAgreement(NamedTuple):
    """Agreement of predicted with true Dice over cases."""

    spearman: float
    mean_absolute_error: float


def case_agreement(predicted_dice: ArrayLike, true_dice: ArrayLike) -> CaseAgreement:
    """Spearman's rank correlation and mean absolute error of predicted and true Dice.

    Cases with nan on either side are left out. Spearman is nan with fewer than two cases left or where one side is
    constant; the error is nan with none left.

    Args:
        predicted_dice: one value a case.
        true_dice: one value a case, same order.

    Raises:
        ValueError: the two are not vectors of the same length.

    Example:
        >>> case_agreement([0.7, 0.8, 0.9], [0.6, 0.8, 0.9]).spearman
        1.0
    """
    predicted, true = np.asarray(predicted_dice, dtype=float), np.asarray(true_dice, dtype=float)
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise ValueError(
            "predicted_dice and true_dice must be vectors of the same length, "
            f"got shapes {predicted.shape} and {true.shape}."
        )
    known = np.isfinite(predicted) & np.isfinite(true)
    predicted, true = predicted[known], true[known]
    if not predicted.size:
        return CaseAgreement(math.nan, math.nan)
    ranked = np.ptp(predicted) > 0 and np.ptp(true) > 0
    spearman = float(spearmanr(predicted, true).statistic) if ranked else math.nan
    return CaseAgreement(spearman, float(np.abs(predicted - true).mean()))


def _voxels(score: ArrayLike, truth: ArrayLike, score_name: str, truth_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Flat float64 scores and boolean truth of the same length."""
    values, flags = np.asarray(score, dtype=np.float64), np.asarray(truth)
    if values.shape != flags.shape:
        raise ValueError(
            f"{score_name} and {truth_name} must have the same shape, got {values.shape} and {flags.shape}."
        )
    if flags.dtype != bool:
        raise ValueError(f"{truth_name} must be boolean, got {flags.dtype}.")
    if not np.isfinite(values).all():
        raise ValueError(f"{score_name} must be finite, got nan or infinite values.")
    return values.ravel(), flags.ravel()
