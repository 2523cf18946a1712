import numpy as np
import pytest

from dam_components.metrics import ScoreHistogram, bootstrap_difference, bootstrap_pooled, percentile_interval


def share(counts):
    return counts[0] / counts[1]


def test_first_value_is_of_all_cases_pooled():
    # (1 + 3) / (2 + 6), not the mean of 1/2 and 3/6
    values = bootstrap_pooled(np.array([[1, 2], [3, 4]]), share, resamples=5)
    assert values.shape == (6,)
    assert values[0] == pytest.approx(4 / 6)
    assert set(np.round(values[1:], 6)) <= {0.5, round(4 / 6, 6), 0.75}  # twice the first, one each, twice the second


def test_difference_of_two_maps_is_that_of_bootstrap_difference():
    rng = np.random.default_rng(1)
    maps = []
    for strength in (2.0, 0.5):
        cases = []
        for _ in range(6):
            wrong = rng.random(200) < 0.2
            score = 1 / (1 + np.exp(-(strength * wrong + rng.normal(size=200))))
            cases.append(ScoreHistogram.from_scores(score, wrong, bins=64))
        maps.append(cases)
    expected = bootstrap_difference(*maps, ScoreHistogram.auroc, resamples=50, seed=3)
    first, second = (
        bootstrap_pooled(
            np.stack([np.stack([case.right, case.wrong]) for case in cases]),
            lambda counts: ScoreHistogram(*counts).auroc(),
            resamples=50,
            seed=3,
        )
        for cases in maps
    )
    assert percentile_interval(first - second) == pytest.approx(tuple(expected))


def test_seed_and_resamples_matter():
    counts = np.arange(1, 21).reshape(10, 2)
    one, same, other = (bootstrap_pooled(counts, share, resamples=20, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_resamples_without_a_value_are_left_out():
    assert percentile_interval(np.array([1.0, np.nan, 2.0, 2.0])) == (1.0, 2.0, 2.0)
    value, low, high = percentile_interval(np.array([1.0, np.nan]))
    assert value == 1.0 and np.isnan(low) and np.isnan(high)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="counts must hold a case and resamples be at least 1, got 0 and 5"):
        bootstrap_pooled(np.zeros((0, 2)), share, resamples=5)
    with pytest.raises(ValueError, match="got 1 and 0"):
        bootstrap_pooled(np.ones((1, 2)), share, resamples=0)
