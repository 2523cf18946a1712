"""The rising curve: calibrates, keeps the order, and takes any confidence."""

import numpy as np
import pytest

from dam_components.metrics import calibration_counts, fit_rising_curve, pooled_calibration_error, rising_curve


def drawn(seed=0, count=200_000, power=3.0):
    """Confidence, and voxels that are right less often than it says."""
    draw = np.random.default_rng(seed)
    says = 1 - draw.uniform(0, 1, count) ** 2
    return says, draw.uniform(size=count) < says**power


def error(confidence, right):
    return pooled_calibration_error(calibration_counts(confidence, right))


def test_it_calibrates_cases_that_it_was_not_fitted_on():
    curve, (says, right) = fit_rising_curve(*drawn(0)), drawn(1)
    assert error(says, right) > 0.1
    assert error(rising_curve(curve, says), right) < 0.005


@pytest.mark.parametrize("seed", range(5))
def test_no_two_voxels_change_places(seed):
    draw = np.random.default_rng(seed)
    says = draw.beta(*draw.uniform(0.1, 5, 2), 20_000)
    right = draw.uniform(size=20_000) < draw.uniform(0, 1, 20_000)  # confidence tells nothing: isotonic alone is flat
    curve = fit_rising_curve(says, right)
    assert (np.diff(curve) > 0).all()
    spread = np.linspace(0.001, 0.999, 5000)
    assert (np.diff(rising_curve(curve, spread)) > 0).all()


def test_few_errors_leave_the_confidence_as_it_is():
    says = np.linspace(0.01, 0.99, 1000)
    for right in (np.arange(1000) >= 49, np.arange(1000) < 49):
        np.testing.assert_allclose(rising_curve(fit_rising_curve(says, right), says), says, rtol=1e-5)
    assert not np.allclose(rising_curve(fit_rising_curve(says, np.arange(1000) >= 50), says), says)
    np.testing.assert_allclose(rising_curve(fit_rising_curve([], []), says), says, rtol=1e-5)


@pytest.mark.parametrize("says", [0.0, 0.5, 1.0])
def test_one_value_becomes_its_share(says):
    curve = fit_rising_curve(np.full(1000, says), np.arange(1000) < 700)
    assert rising_curve(curve, says) == pytest.approx(0.7, abs=0.001)
    assert np.isfinite(curve).all()


def test_beyond_what_it_was_fitted_on_a_confidence_goes_back_to_itself():
    draw = np.random.default_rng(0)
    says = draw.uniform(0.3, 0.9, 100_000)
    curve = fit_rising_curve(says, draw.uniform(size=100_000) < says - 0.1)
    far = 1 - np.logspace(-1, -6.8, 6)  # doubt of 0.1 becomes 0.2, one of 0 stays
    factor = (1 - rising_curve(curve, far)) / (1 - far)
    assert factor[0] > 1.8
    assert (np.diff(factor) < 0).all()
    assert factor[-1] < 1.05
    assert 0 < rising_curve(curve, 0.0) < 1e-5 < 1 - 1e-5 < rising_curve(curve, 1.0) < 1


@pytest.mark.parametrize(
    ("confidence", "right", "knots", "says"),
    [
        ([0.5, 0.6], [True], 64, "same length"),
        ([1.5], [True], 64, "from 0 to 1"),
        ([np.nan], [True], 64, "from 0 to 1"),
        ([0.5], [True], 2, "at least 3"),
    ],
)
def test_bad_input(confidence, right, knots, says):
    with pytest.raises(ValueError, match=says):
        fit_rising_curve(confidence, right, knots)
