import math

import numpy as np
import pytest

from dam_components.metrics import error_band


def brute_force(label: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...], width: float) -> np.ndarray:
    """For every voxel the distance to every voxel of another value."""
    points = np.argwhere(np.ones(label.shape)) * spacing
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    band = np.zeros(label.size, dtype=bool)
    for volume in (label.ravel(), prediction.ravel()):
        band |= ((volume[:, None] != volume[None]) & (distance <= width)).any(axis=1)
    return band.reshape(label.shape)


def ones_of(band: np.ndarray) -> list[int]:
    return np.flatnonzero(band).tolist()


LINE = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0])  # surfaces between 4 | 5 and 10 | 11


@pytest.mark.parametrize(("width", "expected"), [(0.9, []), (1.0, [4, 5, 10, 11]), (2.5, [3, 4, 5, 6, 9, 10, 11, 12])])
def test_width_reaches_the_same_way_to_both_sides(width, expected):
    assert ones_of(error_band(LINE, LINE, (1.0,), width)) == expected


def test_default_width_is_3_mm_and_spacing_counts():
    assert ones_of(error_band(LINE, LINE, (3.0,))) == [4, 5, 10, 11]
    assert ones_of(error_band(LINE, LINE, (1.5,))) == [3, 4, 5, 6, 9, 10, 11, 12]


def test_surfaces_of_label_and_prediction_both_count():
    empty = np.zeros_like(LINE)
    expected = ones_of(error_band(LINE, LINE, (1.0,), 1.0))
    assert ones_of(error_band(LINE, empty, (1.0,), 1.0)) == expected
    assert ones_of(error_band(empty, LINE, (1.0,), 1.0)) == expected
    assert ones_of(error_band(LINE, np.roll(LINE, 1), (1.0,), 1.0)) == [4, 5, 6, 10, 11, 12]


def test_the_surface_between_two_structures_counts():
    label = np.where(np.arange(16) == 5, 2, LINE)
    assert ones_of(error_band(label, label, (1.0,), 1.0)) == [4, 5, 6, 10, 11]


def test_border_of_the_volume_is_no_surface():
    label = np.array([1, 1, 1, 1, 0, 0])
    assert ones_of(error_band(label, label, (1.0,), 1.0)) == [3, 4]


@pytest.mark.parametrize("value", [0, 1])
def test_volumes_without_a_surface_give_an_empty_band(value):
    volume = np.full((3, 4, 5), value)
    band = error_band(volume, volume, (1.0, 1.0, 1.0), 100.0)
    assert band.shape == (3, 4, 5)
    assert band.dtype == bool
    assert not band.any()


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_all_pairs_of_voxels_at_anisotropic_spacing(seed):
    rng = np.random.default_rng(seed)
    label, prediction = (np.zeros((7, 8, 9), dtype=int) for _ in range(2))
    for volume in (label, prediction):
        corner = rng.integers(0, 5, 3)
        volume[tuple(slice(c, c + 3) for c in corner)] = 1
        volume[tuple(slice(c, c + 2) for c in corner)] = 2
    spacing = tuple(rng.uniform(0.5, 3.0, 3))
    width = float(rng.uniform(1.0, 5.0))
    np.testing.assert_array_equal(
        error_band(label, prediction, spacing, width), brute_force(label, prediction, spacing, width)
    )


@pytest.mark.parametrize(
    ("prediction", "spacing", "width", "message"),
    [
        (LINE[:-1], (1.0,), 3.0, r"same shape, got \(16,\) and \(15,\)"),
        (LINE, (1.0, 1.0), 3.0, "spacing_mm must be 1 positive numbers"),
        (LINE, (1.0,), 0.0, "width_mm must be positive, got 0.0"),
        (LINE, (1.0,), math.nan, "width_mm must be positive, got nan"),
    ],
)
def test_bad_input(prediction, spacing, width, message):
    with pytest.raises(ValueError, match=message):
        error_band(LINE, prediction, spacing, width)
