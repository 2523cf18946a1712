import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from dam_components.metrics import aurc, case_agreement, error_aupr, error_auroc, expected_calibration_error

WRONG = np.array([False, True, False, False, True, False])


def noisy_doubt(seed: int, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Doubt that finds errors fairly well, of a few levels (so with ties) if asked."""
    rng = np.random.default_rng(seed)
    wrong = rng.random((6, 7, 8)) < 0.1
    doubt = 1 / (1 + np.exp(-rng.normal(3.0 * wrong - 3, 1.5)))
    return (np.round(doubt * levels) / levels if levels else doubt), wrong


def test_doubt_that_is_the_truth_is_perfect():
    assert error_auroc(WRONG.astype(float), WRONG) == 1
    assert error_aupr(WRONG.astype(float), WRONG) == 1
    # Risk stays 0 until the two wrong voxels come last, in the mean of both orders: (1/5 + 2/6) / 6.
    assert aurc(WRONG.astype(float), WRONG) == pytest.approx((1 / 5 + 2 / 6) / 6)
    assert expected_calibration_error((~WRONG).astype(float), ~WRONG) == 0


def test_constant_doubt_says_nothing():
    assert error_auroc(np.full(6, 0.3), WRONG) == 0.5
    assert error_aupr(np.full(6, 0.3), WRONG) == pytest.approx(2 / 6)
    assert aurc(np.full(6, 0.3), WRONG) == pytest.approx(2 / 6)


def test_doubt_that_is_upside_down():
    assert error_auroc(-WRONG.astype(float), WRONG) == 0
    # The wrong ones first: risks 1, 1, 2/3, 2/4, 2/5, 2/6.
    assert aurc(np.arange(6), np.array([True, True, False, False, False, False])) == pytest.approx(
        (1 + 1 + 2 / 3 + 2 / 4 + 2 / 5 + 2 / 6) / 6
    )


@pytest.mark.parametrize("levels", [0, 7])
def test_auroc_and_aupr_are_scikit_learns(levels):
    doubt, wrong = noisy_doubt(1, levels)
    assert error_auroc(doubt, wrong) == roc_auc_score(wrong.ravel(), doubt.ravel())
    assert error_aupr(doubt, wrong) == average_precision_score(wrong.ravel(), doubt.ravel())


def test_only_the_order_of_doubt_matters():
    doubt, wrong = noisy_doubt(2)
    for metric in (error_auroc, error_aupr, aurc):
        assert metric(np.log(doubt), wrong) == pytest.approx(metric(doubt, wrong), abs=1e-12)


def test_no_error_all_errors_and_no_voxel():
    doubt = np.linspace(0, 1, 4)
    none, every = np.zeros(4, dtype=bool), np.ones(4, dtype=bool)
    assert math.isnan(error_auroc(doubt, none))
    assert math.isnan(error_auroc(doubt, every))
    assert math.isnan(error_aupr(doubt, none))
    assert error_aupr(doubt, every) == 1
    assert aurc(doubt, none) == 0
    assert aurc(doubt, every) == 1
    empty = np.zeros(0), np.zeros(0, dtype=bool)
    for metric in (error_auroc, error_aupr, aurc, expected_calibration_error):
        assert math.isnan(metric(*empty))


def test_aurc_without_ties_is_the_mean_of_risks_step_by_step():
    doubt, wrong = noisy_doubt(3)
    ordered = wrong.ravel()[np.argsort(doubt.ravel())]
    assert aurc(doubt, wrong) == pytest.approx((np.cumsum(ordered) / np.arange(1, ordered.size + 1)).mean(), abs=1e-12)


def test_aurc_takes_ties_in_the_mean_of_all_orders():
    groups = [[True], [False, True, False], [True, False]]
    orders = itertools.product(*(itertools.permutations(group) for group in groups))
    means = [(np.cumsum(sum(order, ())) / np.arange(1, 7)).mean() for order in orders]
    wrong = np.array([error for group in groups for error in group])
    assert aurc([0, 1, 1, 1, 2, 2], wrong) == pytest.approx(np.mean(means), abs=1e-12)


def test_calibration_error_by_hand():
    confidence = np.array([0.1, 0.3, 0.95, 0.95, 1.0])
    right = np.array([False, True, True, False, True])
    # Two bins. Lower: mean confidence 0.2, accuracy 1/2, two voxels. Upper: 2.9/3 and 2/3, three voxels.
    assert expected_calibration_error(confidence, right, bins=2) == pytest.approx((2 * 0.3 + 3 * 0.9 / 3) / 5)
    # One bin: mean confidence 3.3/5, accuracy 3/5.
    assert expected_calibration_error(confidence, right, bins=1) == pytest.approx(0.3 / 5)


def test_calibration_bins_default_to_15_and_keep_their_upper_edge_out():
    # 1/15 opens the second of 15 bins: the two voxels do not share one, and their gaps 1 - 0.06 and 1/15 add up.
    confidence, right = np.array([0.06, 1 / 15]), np.array([True, False])
    assert expected_calibration_error(confidence, right) == pytest.approx((0.94 + 1 / 15) / 2)
    assert expected_calibration_error(confidence, right, bins=14) == pytest.approx((0.94 - 1 / 15) / 2)


def test_calibrated_confidence_has_little_error():
    rng = np.random.default_rng(0)
    confidence = rng.random(200_000)
    right = rng.random(200_000) < confidence
    assert expected_calibration_error(confidence, right) < 0.01
    assert expected_calibration_error(confidence**2, right) > 0.1


@pytest.mark.parametrize("metric", [error_auroc, error_aupr, aurc, expected_calibration_error])
def test_bad_voxels(metric):
    with pytest.raises(ValueError, match=r"must have the same shape, got \(3,\) and \(2,\)"):
        metric(np.zeros(3), np.zeros(2, dtype=bool))
    with pytest.raises(ValueError, match="must be boolean, got int64"):
        metric(np.zeros(2), np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="must be finite"):
        metric(np.array([0.5, np.nan]), np.zeros(2, dtype=bool))


def test_bad_confidence_and_bins():
    with pytest.raises(ValueError, match=r"confidence must be in \[0, 1\], got -2 to 3: apply the sigmoid"):
        expected_calibration_error([-2.0, 3.0], np.zeros(2, dtype=bool))
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        expected_calibration_error([0.5], np.zeros(1, dtype=bool), bins=0)


def test_case_agreement_by_hand_and_as_scipy():
    predicted, true = [0.9, 0.8, 0.7, 0.6], [0.9, 0.7, 0.8, 0.2]
    agreement = case_agreement(predicted, true)
    assert agreement.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))  # one swap: squared rank differences 0, 1, 1, 0
    assert agreement.spearman == pytest.approx(spearmanr(predicted, true).statistic)
    assert agreement.mean_absolute_error == pytest.approx((0 + 0.1 + 0.1 + 0.4) / 4)


def test_case_agreement_leaves_unknown_cases_out():
    assert case_agreement([0.9, np.nan, 0.7, 0.1], [0.8, 0.5, 0.6, np.nan]) == case_agreement([0.9, 0.7], [0.8, 0.6])


@pytest.mark.parametrize(("predicted", "true"), [([0.5, 0.5], [0.1, 0.9]), ([0.1, 0.9], [0.5, 0.5]), ([0.4], [0.6])])
def test_case_agreement_without_an_order(predicted, true):
    agreement = case_agreement(predicted, true)
    assert math.isnan(agreement.spearman)
    assert agreement.mean_absolute_error == pytest.approx(np.abs(np.subtract(predicted, true)).mean())


def test_case_agreement_without_cases_and_with_bad_ones():
    assert all(math.isnan(value) for value in case_agreement([], []))
    with pytest.raises(ValueError, match=r"vectors of the same length, got shapes \(2,\) and \(3,\)"):
        case_agreement([0.1, 0.2], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="vectors of the same length"):
        case_agreement([[0.1]], [[0.1]])
