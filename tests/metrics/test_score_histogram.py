import math

import numpy as np
import pytest

from dam_components.metrics import (
    ScoreHistogram,
    aurc,
    bootstrap_difference,
    error_aupr,
    error_auroc,
    logit_scale,
)

STATISTICS = [
    (ScoreHistogram.auroc, error_auroc),
    (ScoreHistogram.aupr, error_aupr),
    (ScoreHistogram.aurc, aurc),
]


def softmax_like_doubt(seed: int, voxels: int = 100_000) -> tuple[np.ndarray, np.ndarray]:
    """Doubt as a softmax gives it: most voxels below 1e-4, one wrong voxel in a hundred."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(voxels) < 0.01
    return 1 / (1 + np.exp(-rng.normal(np.where(wrong, -4.0, -11.0), 3.0))), wrong


@pytest.mark.parametrize(("pooled", "exact"), STATISTICS)
def test_agrees_with_the_exact_statistic_on_doubt_that_piles_up_near_0(pooled, exact):
    doubt, wrong = softmax_like_doubt(0)
    assert np.median(doubt) < 1e-4
    histogram = ScoreHistogram.from_scores(doubt, wrong)
    assert pooled(histogram) == pytest.approx(exact(doubt, wrong), abs=1e-3)


def test_equal_bins_would_not_and_few_bins_would_not():
    doubt, wrong = softmax_like_doubt(0)
    exact = error_auroc(doubt, wrong)
    assert abs(ScoreHistogram.from_scores(doubt, wrong, transform=lambda d: d).auroc() - exact) > 1e-2
    assert abs(ScoreHistogram.from_scores(doubt, wrong, bins=4).auroc() - exact) > 1e-2


@pytest.mark.parametrize(("pooled", "exact"), STATISTICS)
def test_is_exact_where_every_value_has_its_own_bin(pooled, exact):
    rng = np.random.default_rng(1)
    level = rng.integers(0, 10, (5, 100))
    wrong = rng.random((5, 100)) < 0.02 + 0.08 * level
    cases = [
        ScoreHistogram.from_scores(s, w, bins=10, transform=lambda d: (d + 0.5) / 10)
        for s, w in zip(level, wrong, strict=True)
    ]
    assert pooled(sum(cases[1:], cases[0])) == pytest.approx(exact(level, wrong), abs=1e-12)


def test_truth_is_perfect_and_a_constant_says_nothing():
    wrong = np.array([False, True, False, True])
    truth = ScoreHistogram.from_scores(wrong.astype(float), wrong)
    assert (truth.auroc(), truth.aupr()) == (1, 1)
    constant = ScoreHistogram.from_scores(np.full(4, 0.2), wrong)
    assert (constant.auroc(), constant.aupr(), constant.aurc()) == (0.5, 0.5, 0.5)


def test_counts_and_bins():
    histogram = ScoreHistogram.from_scores(
        np.array([[0.0, 0.25], [0.5, 1.0]]), np.array([[False, False], [True, True]]), bins=4, transform=lambda d: d
    )
    assert histogram.right.tolist() == [1, 1, 0, 0]
    assert histogram.wrong.tolist() == [0, 0, 1, 1]
    assert ScoreHistogram.from_scores([0.5], np.array([True])).right.size == 4096


def test_no_error_all_errors_and_no_voxel():
    none = ScoreHistogram.from_scores([0.1, 0.9], np.zeros(2, dtype=bool))
    every = ScoreHistogram.from_scores([0.1, 0.9], np.ones(2, dtype=bool))
    empty = ScoreHistogram.from_scores([], np.zeros(0, dtype=bool))
    nan = pytest.approx(math.nan, nan_ok=True)
    assert [h.auroc() for h in (none, every, empty)] == [nan, nan, nan]
    assert [h.aupr() for h in (none, every, empty)] == [nan, 1, nan]
    assert [h.aurc() for h in (none, every, empty)] == [0, 1, nan]


def test_logit_scale_is_monotone_symmetric_and_cut_at_its_floor():
    doubt = np.array([0.0, 1e-9, 1e-8, 1e-6, 1e-3, 0.3, 0.5])
    scaled = logit_scale(doubt)
    assert scaled[0] == scaled[1] == scaled[2] == 0
    assert (np.diff(scaled[2:]) > 0).all()
    np.testing.assert_allclose(logit_scale(1 - doubt), 1 - scaled, atol=1e-8)
    assert logit_scale(np.array([1e-6]), floor=1e-6) == 0
    # One decade of small doubt is log(10) of the 2 * log(1e8) between the ends.
    assert scaled[4] - scaled[3] == pytest.approx(3 * np.log(10) / (2 * np.log(1e8)), rel=1e-3)


@pytest.mark.parametrize(
    ("doubt", "wrong", "options", "message"),
    [
        ([0.1, 0.2], [True], {}, r"same shape, got \(2,\) and \(1,\)"),
        ([0.1], [1], {}, "wrong must be boolean, got int64"),
        ([0.1], [True], {"bins": 0}, "bins must be at least 1, got 0"),
        ([-0.5, 1.5], [True, True], {}, r"doubt must be in \[0, 1\], got -0.5 to 1.5: scale it"),
        ([math.nan], [True], {}, r"doubt must be in \[0, 1\], got nan"),
        ([3.0], [True], {"transform": lambda d: d}, r"transform must map doubt to \[0, 1\], got 3 to 3"),
        ([math.nan], [True], {"transform": lambda d: d}, r"transform must map doubt to \[0, 1\], got nan"),
    ],
)
def test_bad_scores(doubt, wrong, options, message):
    with pytest.raises(ValueError, match=message):
        ScoreHistogram.from_scores(np.array(doubt), np.array(wrong), **options)


def test_bins_must_match():
    three, four = (ScoreHistogram(np.ones(n), np.ones(n)) for n in (3, 4))
    with pytest.raises(ValueError, match="same bins, got 3 and 4"):
        three + four
    with pytest.raises(ValueError, match=r"same bins, got \[3, 4\]"):
        bootstrap_difference([three, four], [three, three], ScoreHistogram.auroc)
    with pytest.raises(ValueError, match=r"vectors of one length, got shapes \(3,\) and \(4,\)"):
        ScoreHistogram(np.ones(3), np.ones(4))


def cases(noise: float, count: int = 12) -> list[ScoreHistogram]:
    """Cases whose errors do not depend on ``noise``: maps of different quality on the same segmentation."""
    histograms = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        wrong = rng.random(500) < rng.uniform(0.05, 0.2)
        histograms.append(
            ScoreHistogram.from_scores(1 / (1 + np.exp(-rng.normal(2.0 * wrong - 3, noise))), wrong, bins=256)
        )
    return histograms


@pytest.mark.parametrize("statistic", [ScoreHistogram.auroc, ScoreHistogram.aupr, ScoreHistogram.aurc])
def test_bootstrap_is_that_of_pooling_the_drawn_cases_one_by_one(statistic):
    a, b = cases(1.0), cases(2.0)
    result = bootstrap_difference(a, b, statistic, resamples=50, seed=3)
    draws = np.random.default_rng(3).multinomial(len(a), np.full(len(a), 1 / len(a)), size=50)
    differences = []
    for draw in draws:
        pools = []
        for maps in (a, b):
            drawn = [histogram for histogram, times in zip(maps, draw, strict=True) for _ in range(times)]
            pools.append(sum(drawn[1:], drawn[0]))
        differences.append(statistic(pools[0]) - statistic(pools[1]))
    pooled = [statistic(sum(maps[1:], maps[0])) for maps in (a, b)]
    expected = (pooled[0] - pooled[1], *np.percentile(differences, [2.5, 97.5]))
    assert tuple(result) == pytest.approx(expected, abs=1e-12)


def test_bootstrap_finds_the_better_map_and_no_difference_of_a_map_with_itself():
    better = bootstrap_difference(cases(1.0), cases(2.0), ScoreHistogram.auroc)
    assert 0 < better.low < better.difference < better.high
    worse = bootstrap_difference(cases(2.0), cases(1.0), ScoreHistogram.auroc)
    assert tuple(worse) == pytest.approx((-better.difference, -better.high, -better.low))
    assert tuple(bootstrap_difference(cases(1.0), cases(1.0), ScoreHistogram.auroc)) == (0, 0, 0)


def test_bootstrap_is_paired():
    a, b = cases(1.0), cases(1.05)
    paired = bootstrap_difference(a, b, ScoreHistogram.aupr)
    crossed = bootstrap_difference(a, b[::-1], ScoreHistogram.aupr)
    assert paired.difference == pytest.approx(crossed.difference)
    assert paired.high - paired.low < 0.7 * (crossed.high - crossed.low)


def test_bootstrap_is_seeded_and_counts_its_resamples():
    a, b = cases(1.0), cases(2.0)
    first = bootstrap_difference(a, b, ScoreHistogram.auroc, resamples=20, seed=1)
    assert first == bootstrap_difference(a, b, ScoreHistogram.auroc, resamples=20, seed=1)
    assert first != bootstrap_difference(a, b, ScoreHistogram.auroc, resamples=20, seed=2)
    assert first != bootstrap_difference(a, b, ScoreHistogram.auroc, resamples=21, seed=1)
    assert bootstrap_difference(a, b, ScoreHistogram.auroc) == bootstrap_difference(
        a, b, ScoreHistogram.auroc, resamples=2000, seed=0
    )


def test_bootstrap_leaves_out_resamples_without_an_error():
    wrong = np.array([False, True])
    with_error = ScoreHistogram.from_scores([0.1, 0.9], wrong), ScoreHistogram.from_scores([0.9, 0.1], wrong)
    without = ScoreHistogram.from_scores([0.1, 0.9], np.zeros(2, dtype=bool))
    result = bootstrap_difference([with_error[0], without], [with_error[1], without], ScoreHistogram.aupr, resamples=40)
    assert np.isfinite(result).all()
    nothing = bootstrap_difference([without], [without], ScoreHistogram.aupr, resamples=5)
    assert all(math.isnan(value) for value in nothing)


def test_bootstrap_refuses():
    some = cases(1.0, count=2)
    with pytest.raises(ValueError, match="same cases, at least one, got 2 and 1"):
        bootstrap_difference(some, some[:1], ScoreHistogram.auroc)
    with pytest.raises(ValueError, match="same cases, at least one, got 0 and 0"):
        bootstrap_difference([], [], ScoreHistogram.auroc)
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        bootstrap_difference(some, some, ScoreHistogram.auroc, resamples=0)
