import math

import numpy as np
import pytest

from dam_components.metrics import calibration_counts, pooled_calibration_error


def test_counts_of_cases_add_up_to_those_of_all_voxels():
    rng = np.random.default_rng(0)
    confidence, right = rng.random((2, 500)), rng.random((2, 500)) < 0.7
    together = calibration_counts(confidence, right)
    assert np.allclose(together, sum(calibration_counts(c, r) for c, r in zip(confidence, right, strict=True)))


def test_calibrated_confidence_has_little_error():
    rng = np.random.default_rng(0)
    confidence = rng.random(200_000)
    right = rng.random(200_000) < confidence
    assert pooled_calibration_error(calibration_counts(confidence, right)) < 0.01
    assert pooled_calibration_error(calibration_counts(confidence**2, right)) > 0.1


def test_error_by_hand():
    confidence, right = [0.1, 0.3, 0.95, 0.95, 1.0], [False, True, True, False, True]
    # lower bin: mean confidence 0.2, accuracy 1/2, two voxels; upper: 2.9/3 and 2/3, three voxels
    error = pooled_calibration_error(calibration_counts(confidence, right, bins=2))
    assert error == pytest.approx((2 * 0.3 + 3 * 0.9 / 3) / 5)


def test_bins_matter():
    # one bin: |0.5 - (0.1 + 0.9) / 2| = 0; two bins: (|0 - 0.1| + |1 - 0.9|) / 2 = 0.1
    confidence, right = [0.1, 0.9], [False, True]
    assert pooled_calibration_error(calibration_counts(confidence, right, bins=1)) == pytest.approx(0)
    assert pooled_calibration_error(calibration_counts(confidence, right, bins=2)) == pytest.approx(0.1)


def test_edges_belong_to_the_upper_bin_and_one_to_the_last():
    assert calibration_counts([0.5, 1.0, 0.0], [True, True, False], bins=2)[0].tolist() == [1, 2]


def test_no_voxel_is_nan():
    assert math.isnan(pooled_calibration_error(calibration_counts([], np.zeros(0, bool))))


@pytest.mark.parametrize(
    ("confidence", "right", "message"),
    [
        ([0.5, 0.5], [True], r"right must be boolean and have the shape of confidence, \(2,\), got bool \(1,\)"),
        ([0.5], [1], "right must be boolean"),
        ([1.5], [True], r"confidence must be in \[0, 1\], got 1.5 to 1.5"),
        ([np.nan], [True], r"confidence must be in \[0, 1\], got nan"),
    ],
)
def test_bad_input_is_named(confidence, right, message):
    with pytest.raises(ValueError, match=message):
        calibration_counts(confidence, right)
