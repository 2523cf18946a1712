r"""Intervals of predicted Dice that hold on images of a kind that no calibration saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold

__all__ = ["CLEAN", "IntervalEnds", "fit_interval"]

CLEAN = "clean"  # the kind of image that is as in training
FOLDS = 5
KNOTS = 25
NEAREST = 1 / 8  # of the pairs
WORST = 0.2  # of a kind, this much more may lie beyond an end than the level leaves out
ZERO = 0.1  # a lower end below this is 0
LEAST = 0.02  # half width, before it is stretched


@dataclass(frozen=True)
class IntervalEnds:
    """Both ends of an interval over the raw Dice; between the knots they are straight.

    Attributes:
        raw: raw Dice at the knots, rising.
        low: the lower end there.
        high: the upper end.

    Raises:
        ValueError: the knots are none or fall, or an end lies outside 0..1.
    """

    raw: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]

    def __post_init__(self) -> None:
        if not len(self.raw) == len(self.low) == len(self.high) > 0 or np.any(np.diff(self.raw) <= 0):
            raise ValueError("the knots of an interval must rise, one lower and one upper end for every knot")
        low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        if not ((low >= 0) & (low <= high) & (high <= 1)).all():
            raise ValueError("the ends of an interval must lie in 0..1, the lower one below the upper one")

    def __call__(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both ends at a raw Dice. A lower end below 0.1 is 0: where that little is promised, nothing is."""
        low = np.interp(raw, self.raw, self.low)
        return np.where(low < ZERO, 0.0, low), np.interp(raw, self.raw, self.high)


def fit_interval(
    raw: np.ndarray, true: np.ndarray, kinds: np.ndarray, owners: np.ndarray, weights: np.ndarray, level: float
) -> IntervalEnds:
    r"""The interval that holds ``level`` on average over kinds of image that took no part in it.

    At each raw Dice, the 5 % and 95 % quantiles and the median of the true Dice of the nearest eighth of the pairs;
    each rises with the raw Dice. Each end is then stretched away from the median by a factor of its own. It is the
    smallest, but at least 1, with which at most ``1 - level + 0.2`` of the pairs of any kind lie beyond that end of the
    interval that other kinds and other cases make. If less than ``level`` of the pairs then lie inside on average over
    the kinds, both ends are stretched further. This is conformalised quantile regression with an end at a time (Romano,
    Patterson and Candes 2019) and whole kinds left out. A new kind is no draw from these, so nothing is guaranteed;
    ``docs/results/hippocampus_case_number`` has what was measured.

    Args:
        raw: raw Dice, (N,).
        true: true Dice, (N,).
        kinds: name of each pair's kind of image, (N,); :data:`CLEAN` is never left out.
        owners: number of each pair's case, (N,), at least 2 of them.
        weights: of the pairs, (N,).
        level: coverage.
    """
    below, above = np.empty_like(raw), np.empty_like(raw)  # how far beyond the median, in widths of that side
    folds = np.empty(len(raw), dtype=int)
    for number, (_, test) in enumerate(GroupKFold(min(FOLDS, len(np.unique(owners)))).split(raw, groups=owners)):
        folds[test] = number
    for kind in np.unique(kinds):
        for fold in np.unique(folds):
            test = (kinds == kind) & (folds == fold)
            learn = (folds != fold) & ((kinds != kind) | (kind == CLEAN))
            if test.any():
                knots, curves = _curves(raw[learn], true[learn], weights[learn])
                low, middle, high = (np.interp(raw[test], knots, curve) for curve in curves)
                below[test] = (middle - true[test]) / (middle - low)
                above[test] = (true[test] - middle) / (high - middle)
    down, up = _stretches(below, above, kinds, level)
    knots, (low, middle, high) = _curves(raw, true, weights)
    low, high = middle - down * (middle - low), middle + up * (high - middle)
    return IntervalEnds(knots.tolist(), *(end.clip(0, 1).round(6).tolist() for end in (low, high)))


def _stretches(below: np.ndarray, above: np.ndarray, kinds: np.ndarray, level: float) -> tuple[float, float]:
    """The factors of the lower and of the upper end."""
    names, kind = np.unique(kinds, return_inverse=True)
    share = max(level - WORST, 0)
    down, up = (
        max(1.0, *(float(np.quantile(side[kind == k], share, method="higher")) for k in range(len(names))))
        for side in (below, above)
    )
    scores = np.maximum(below / down, above / up)
    weight = 1 / np.bincount(kind)[kind] / len(names)
    order = np.argsort(scores)
    held = np.cumsum(weight[order])
    further = max(1.0, float(scores[order][min(int(np.searchsorted(held, level - 1e-9)), len(scores) - 1)]))
    return down * further, up * further


def _curves(raw: np.ndarray, true: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots, and the rising lower quantile, median and upper quantile there, ``(3, knots)``."""
    knots = np.unique(np.quantile(raw, np.linspace(0, 1, KNOTS)))
    count = min(len(raw), max(round(NEAREST * len(raw)), 10))
    distance = np.abs(knots[:, None] - raw[None])
    near = np.argsort(distance, axis=1, kind="stable")[:, :count]
    away = np.take_along_axis(distance, near, 1)
    weight = (1 - (away / (away[:, -1:] + 1e-9)) ** 2).clip(0.02) * weights[near]
    order = np.argsort(true[near], axis=1, kind="stable")
    values, weight = np.take_along_axis(true[near], order, 1), np.take_along_axis(weight, order, 1)
    below = (np.cumsum(weight, 1) - weight / 2) / weight.sum(1, keepdims=True)
    last, rows = below.shape[1] - 1, np.arange(len(knots))
    at = [np.minimum((below < tail).sum(1), last) for tail in (0.05, 0.5, 0.95)]  # the first that is not below
    curves = [values[rows, index] for index in at]
    low, middle, high = (np.maximum.accumulate(curve) for curve in curves)
    return knots, np.stack([np.minimum(low, middle) - LEAST, middle, np.maximum(high, middle) + LEAST])
