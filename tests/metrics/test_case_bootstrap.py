import numpy as np
import pytest

from dam_components.metrics import ScoreHistogram, bootstrap_pooled, percentile_interval


def share(counts):
    return counts[0] / counts[1]


def test_first_value_is_of_all_cases_pooled():
    # (1 + 3) / (2 + 6), not the mean of 1/2 and 3/6
    values = bootstrap_pooled(np.array([[1, 2], [3, 4]]), share, resamples=5)
    assert values.shape == (6,)
    assert values[0] == pytest.approx(4 / 6)
    assert set(np.round(values[1:], 6)) <= {0.5, round(4 / 6, 6), 0.75}  # twice the first, one each, twice the second


def maps(noise):
    """Histograms of 12 cases whose errors do not depend on ``noise``: maps of different quality on one segmentation."""
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        wrong = rng.random(500) < rng.uniform(0.05, 0.2)
        doubt = 1 / (1 + np.exp(-rng.normal(2.0 * wrong - 3, noise)))
        histogram = ScoreHistogram.from_scores(doubt, wrong, bins=256)
        found.append([histogram.right, histogram.wrong])
    return np.array(found)


def auroc(counts):
    return ScoreHistogram(*counts).auroc()


def test_the_difference_of_two_maps_is_that_of_pooling_the_drawn_cases_one_by_one():
    a, b = maps(1.0), maps(2.0)
    found = percentile_interval(bootstrap_pooled(a, auroc, 50, seed=3) - bootstrap_pooled(b, auroc, 50, seed=3))
    draws = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), size=50)
    differences = [auroc(np.repeat(a, draw, 0).sum(0)) - auroc(np.repeat(b, draw, 0).sum(0)) for draw in draws]
    expected = (auroc(a.sum(0)) - auroc(b.sum(0)), *np.percentile(differences, [2.5, 97.5]))
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_better_map_is_found_and_draws_are_paired():
    a, b, c = (bootstrap_pooled(maps(noise), auroc) for noise in (1.0, 2.0, 1.05))
    difference, low, high = percentile_interval(a - b)
    assert 0 < low < difference < high
    assert percentile_interval(a - a) == (0, 0, 0)
    _, low, high = percentile_interval(a - c)
    _, low_unpaired, high_unpaired = percentile_interval(a - bootstrap_pooled(maps(1.05), auroc, seed=1))
    assert high - low < 0.7 * (high_unpaired - low_unpaired)
    assert len(c) == len(a)


def test_seed_and_resamples_matter():
    counts = np.arange(1, 21).reshape(10, 2)
    one, same, other = (bootstrap_pooled(counts, share, resamples=20, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_resamples_without_a_value_are_left_out():
    assert percentile_interval(np.array([1.0, np.nan, 2.0, 2.0])) == (1.0, 2.0, 2.0)
    value, low, high = percentile_interval(np.array([1.0, np.nan]))
    assert value == 1.0
    assert np.isnan(low)
    assert np.isnan(high)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="^counts must hold a case, got none$"):
        bootstrap_pooled(np.zeros((0, 2)), share, resamples=5)
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        bootstrap_pooled(np.ones((1, 2)), share, resamples=0)
