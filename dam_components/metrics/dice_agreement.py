"""How predicted Dice agrees with true Dice over cases."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr


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
