import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from dam_components.metrics import ScoreHistogram, logit_scale


def exact_aurc(wrong, doubt):
    """The mean of the risks step by step; in the mean of all orders, a tie adds its share of wrong voxels at each."""
    _, group, size = np.unique(doubt, return_inverse=True, return_counts=True)
    errors = np.repeat(np.bincount(group, wrong) / size, size).cumsum()
    return (errors / np.arange(1, len(errors) + 1)).mean()


STATISTICS = [
    (ScoreHistogram.auroc, roc_auc_score),
    (ScoreHistogram.aupr, average_precision_score),
    (ScoreHistogram.aurc, exact_aurc),
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
    assert pooled(histogram) == pytest.approx(exact(wrong, doubt), abs=1e-3)


def test_equal_bins_would_not_and_few_bins_would_not():
    doubt, wrong = softmax_like_doubt(0)
    exact = roc_auc_score(wrong, doubt)
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
    assert pooled(sum(cases[1:], cases[0])) == pytest.approx(exact(wrong.ravel(), level.ravel()), abs=1e-12)


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
    with pytest.raises(ValueError, match=r"vectors of one length, got shapes \(3,\) and \(4,\)"):
        ScoreHistogram(np.ones(3), np.ones(4))


def test_aurc_by_hand():
    """Each value has its own bin."""

    def area(doubt, wrong):
        return ScoreHistogram.from_scores(doubt, np.array(wrong), bins=6, transform=lambda d: d / 6 + 1 / 12).aurc()

    # the wrong ones first: risks 1, 1, 2/3, 2/4, 2/5, 2/6
    assert area(np.arange(6), [True, True, False, False, False, False]) == pytest.approx(
        (1 + 1 + 2 / 3 + 2 / 4 + 2 / 5 + 2 / 6) / 6
    )
    # ties are taken in the mean of all orders
    groups = [[True], [False, True, False], [True, False]]
    orders = itertools.product(*(itertools.permutations(group) for group in groups))
    means = [(np.cumsum(sum(order, ())) / np.arange(1, 7)).mean() for order in orders]
    wrong = [error for group in groups for error in group]
    assert area(np.array([0, 1, 1, 1, 2, 2]), wrong) == pytest.approx(np.mean(means), abs=1e-12)
