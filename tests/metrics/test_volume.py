import math

import numpy as np
import pytest

from dam_components.metrics import absolute_volume_difference_percent, relative_volume_difference_percent, volume_ml


def test_volume_counts_voxels_of_any_value_times_their_size():
    mask = np.zeros((10, 10, 10))
    mask[:5] = 3
    assert volume_ml(mask, (0.5, 2.0, 4.0)) == 500 * 4 / 1000


def test_relative_difference_keeps_its_sign_and_the_absolute_one_drops_it():
    assert relative_volume_difference_percent(30, 40) == -25
    assert relative_volume_difference_percent(50, 40) == 25
    assert absolute_volume_difference_percent(30, 40) == 25


def test_empty_reference():
    assert relative_volume_difference_percent(0, 0) == 0
    assert math.isnan(relative_volume_difference_percent(1, 0))
    assert math.isnan(absolute_volume_difference_percent(1, 0))
    assert relative_volume_difference_percent(0, 1) == -100


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, math.nan), (1.0, 1.0, math.inf)])
def test_spacing_must_fit(spacing):
    with pytest.raises(ValueError, match="spacing_mm must be 3 positive numbers"):
        volume_ml(np.ones((2, 2, 2)), spacing)
