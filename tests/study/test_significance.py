"""Paired tests over cases: values by hand, and what they say of shuffled labels."""

import math

import numpy as np
import pytest

from dam_study.statistics.significance import holm, mean_interval, paired_difference, sign_flip_p, wilcoxon_p


def test_wilcoxon_by_hand():
    # Ranks of |d| are 1..4; the negative one has rank 1. Of the 16 ways to put signs, a rank sum of at most 1 on the
    # negative side has {} and {1}, and as many are as extreme on the other: 4 / 16.
    assert wilcoxon_p([-0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.25)
    assert wilcoxon_p([-0.1, 0.2, 0.3, 0.4, 0.0, math.nan]) == pytest.approx(0.25)  # 0 and nan say nothing
    assert wilcoxon_p([0.0, 0.0]) == 1.0


def test_sign_flips_by_hand():
    # Sums of +-1 +-2 +-4: 7 is reached by itself alone, and -7 lies as far below: 2 / 8. With -1 it is 5, and 7 is
    # above it: 4 / 8.
    assert sign_flip_p([1, 2, 4]) == pytest.approx(0.25)
    assert sign_flip_p([-1, 2, 4]) == pytest.approx(0.5)
    assert sign_flip_p([1, 2, 4, math.nan]) == pytest.approx(0.25)
    assert sign_flip_p([0.0, 0.0]) == 1.0


def test_sign_flips_are_drawn_by_seed_where_they_are_too_many():
    differences = np.random.default_rng(0).normal(0.3, 1, 20)
    first, again, other = (sign_flip_p(differences, 199, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first * 200 % 1 == pytest.approx(0, abs=1e-9) or first * 200 % 1 == pytest.approx(1, abs=1e-9)
    assert sign_flip_p([1, 2, 4], permutations=7) != 0.25  # 7 of 8 patterns: drawn, not enumerated


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.4 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.4.
    assert holm([0.4, 0.02, 0.01, 0.03]).tolist() == pytest.approx([0.4, 0.06, 0.04, 0.06])
    assert holm([0.02, math.nan, 0.01]).tolist() == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([0.03]).tolist() == [0.03]
    assert holm([]).tolist() == []


def test_interval_of_a_mean():
    # Two cases, 0 and 1: a resample holds 0, 1 or 2 of the ones with 1/4, 1/2, 1/4, so the ends are 0 and 1.
    assert mean_interval([0.0, 1.0]) == (0.5, 0.0, 1.0)
    # Many cases: the interval is that of the normal limit, +- 1.96 / sqrt(n)
    values = np.random.default_rng(0).normal(0, 1, 400)
    mean, low, high = mean_interval(values)
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)
    assert mean_interval(values, resamples=50) != mean_interval(values, resamples=2000)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=0)
    assert all(math.isnan(v) for v in mean_interval([math.nan]))


def test_paired_difference_takes_pairs_alone():
    values, reference = [0.9, 0.8, 0.7, math.nan], [0.8, 0.6, 0.4, 0.1]
    found = paired_difference(values, reference)
    assert found.cases == 3
    assert found.difference == pytest.approx(0.2)
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.3)
    assert found.wilcoxon_p == pytest.approx(0.25)
    assert found.permutation_p == pytest.approx(0.25)
    nothing = paired_difference([math.nan], [0.5])
    assert nothing.cases == 0
    assert all(math.isnan(value) for value in nothing[1:])
    with pytest.raises(ValueError, match=r"same cases, got shapes \(2,\) and \(1,\)"):
        paired_difference([0.1, 0.2], [0.1])


def test_shuffled_labels_are_called_different_one_time_in_twenty():
    # Which of the two systems a value belongs to is drawn for each case, so nothing is there to be found. Of 300 tests
    # at 0.05 a share of 0.05 +- 0.0126 (one standard deviation) calls a difference.
    cases = 20
    rng = np.random.default_rng(cases)
    sizes = rng.gamma(2.0, 0.01, cases)  # skewed, as differences of Dice are
    shuffled = sizes * rng.choice([-1, 1], (300, cases))
    wilcoxon = np.mean([wilcoxon_p(d) < 0.05 for d in shuffled])
    flips = np.mean([sign_flip_p(d, permutations=199, seed=i) < 0.05 for i, d in enumerate(shuffled)])
    assert 0.02 < wilcoxon < 0.08
    assert 0.02 < flips < 0.08
    assert wilcoxon_p(sizes) < 0.001
    assert sign_flip_p(sizes) < 0.001
