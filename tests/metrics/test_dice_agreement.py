import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from dam_components.metrics import case_agreement


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
