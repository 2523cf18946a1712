"""Intervals for kinds of image that the calibration did not see."""

import numpy as np
import pytest

from dam_components.metrics import DiceCalibration
from dam_components.metrics.dice_interval import IntervalEnds
from dam_components.metrics.dice_interval import _stretches as stretches

KINDS = [f"kind {number}" for number in range(12)]


def images(kinds, shifts, seed, cases=20):
    """Raw Dice, true Dice, case and kind: each kind moves low Dice by a shift of its own."""
    random = np.random.default_rng(seed)
    kind = np.repeat(kinds, cases)
    raw = random.uniform(0.4, 0.95, len(kind))
    off = np.repeat(shifts, cases) * (1 - raw) + 0.02 * random.standard_normal(len(kind))
    return raw[:, None], (raw + off).clip(0, 1)[:, None], np.tile(np.arange(cases), len(kinds)), kind


def held(calibration, raw, true):
    _, low, high = calibration(raw)
    return float(((low <= true) & (true <= high)).mean()), float((high - low).mean())


def test_it_holds_on_kinds_left_out_where_one_that_takes_all_for_one_kind_does_not():
    shifts = np.r_[0, np.tile([-1.5, -0.8, -0.2, 0.2], 3)]
    raw, true, cases, kinds = images(["clean", *KINDS], shifts, 0)
    apart, together, widths = [], [], []
    for kind in KINDS:
        seen, new = kinds != kind, kinds == kind
        fitted = DiceCalibration.fit(raw[seen], true[seen], 0.9, cases[seen], kinds[seen].tolist())
        share, width = held(fitted, raw[new], true[new])
        apart.append(share)
        widths.append(width)
        together.append(held(DiceCalibration.fit(raw[seen], true[seen], 0.9, cases[seen]), raw[new], true[new])[0])
    assert np.mean(apart) >= 0.85
    assert min(together) < 0.7 < 0.8 <= min(apart)
    assert np.mean(widths) < 0.6


def test_an_end_is_stretched_by_what_its_own_side_needs_and_never_shrunk():
    kinds = np.repeat(["a", "b"], 10)
    inside, far_below = np.full(20, 0.5), np.r_[np.full(4, 2.0), np.full(16, 0.5)]
    assert stretches(inside, inside, kinds, 0.9) == (1, 1)
    assert stretches(far_below, inside, kinds, 0.9) == (2, 1)  # four of ten of kind a, at most three may
    assert stretches(inside, far_below, kinds, 0.9) == (1, 2)
    # two of ten of each kind are beyond: allowed in a kind, but 80 % on average over the kinds are too few
    assert stretches(np.tile(np.r_[1.5, 1.5, np.full(8, 0.5)], 2), inside, kinds, 0.9) == (1.5, 1.5)


def test_the_ends_hold_the_calibrated_dice_and_a_lower_end_near_zero_is_zero():
    raw, true, cases, kinds = images(["clean", *KINDS], np.r_[0, np.full(12, -1.2)], 1)
    calibration = DiceCalibration.fit(raw, true, 0.9, cases, kinds.tolist())
    dice, low, high = calibration(np.linspace(0, 1, 50)[:, None])
    assert ((low >= 0) & (low <= dice) & (dice <= high) & (high <= 1)).all()
    assert not ((low > 0) & (low < 0.1)).any()
    assert (low == 0).any()


def test_knots_and_ends_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="the knots of an interval must rise"):
        IntervalEnds([0.5, 0.5], [0, 0], [1, 1])
    with pytest.raises(ValueError, match="the lower one below the upper one"):
        IntervalEnds([0.2, 0.5], [0.3, 0.6], [0.2, 1])


def test_a_file_keeps_the_ends(tmp_path):
    raw, true, cases, kinds = images(["clean", *KINDS[:3]], np.zeros(4), 2)
    calibration = DiceCalibration.fit(raw, true, 0.9, cases, kinds.tolist())
    calibration.save(tmp_path / "c.json")
    assert DiceCalibration.load(tmp_path / "c.json") == calibration
    assert calibration.classes[0].ends is not None
    with pytest.raises(ValueError, match="kinds must hold one name for each of the 80 rows, got 3"):
        DiceCalibration.fit(raw, true, 0.9, cases, ["clean"] * 3)
