import numpy as np
import pytest

from dam_components.metrics import REGIONS, apex_is_first, axial_thirds


def column(*occupied: int, length: int) -> np.ndarray:
    label = np.zeros((2, 3, length), dtype=int)
    label[1, 1, list(occupied)] = 2
    return label


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, (0, 1, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (1, 2, 1)), (5, (2, 1, 2)), (14, (5, 4, 5)), (16, (5, 6, 5))],
)
def test_apex_and_base_get_a_third_rounded_and_the_middle_the_rest(count, expected):
    thirds = axial_thirds(column(*range(3, 3 + count), length=30))
    extent = range(3, 3 + count)
    assert tuple(len([i for i in extent if i in range(30)[thirds[region]]]) for region in REGIONS) == expected


def test_regions_part_the_whole_axis():
    thirds = axial_thirds(column(4, 5, 6, 7, 8, 9, length=15))
    assert thirds == {"apex": slice(0, 6), "middle": slice(6, 8), "base": slice(8, 15)}


def test_empty_slices_within_the_label_count_as_its_extent():
    assert axial_thirds(column(2, 10, length=12)) == axial_thirds(column(*range(2, 11), length=12))


def test_slice_order_swaps_apex_and_base():
    label = column(1, 2, 3, 4, length=9)
    forward, backward = axial_thirds(label), axial_thirds(label, apex_first=False)
    assert forward["apex"] == backward["base"]
    assert forward["base"] == backward["apex"]
    assert forward["middle"] == backward["middle"]
    assert list(forward) == list(backward) == list(REGIONS)


def test_flipping_the_volume_and_the_argument_gives_the_same_voxels():
    label = column(1, 2, 5, 6, 7, length=11)
    marks = np.arange(11)
    forward, backward = axial_thirds(label), axial_thirds(label[..., ::-1], apex_first=False)
    for region in REGIONS:
        assert set(marks[forward[region]]) == set(marks[::-1][backward[region]])


def test_axis_is_the_one_asked_for():
    label = np.moveaxis(column(0, 1, 2, 3, 4, 5, length=12), -1, 0)
    assert axial_thirds(label, axis=0) == axial_thirds(label, axis=-3)
    assert axial_thirds(label, axis=0)["apex"] == slice(0, 2)
    assert axial_thirds(label, axis=1)["apex"] == slice(0, 1)


def test_label_without_foreground_parts_the_axis_itself():
    assert axial_thirds(column(length=9)) == {"apex": slice(0, 3), "middle": slice(3, 6), "base": slice(6, 9)}


def test_axis_outside_the_volume():
    with pytest.raises(ValueError, match=r"axis must be an axis of the label with shape \(2, 3, 4\), got 3"):
        axial_thirds(np.ones((2, 3, 4)), axis=3)


def test_apex_is_first_reads_the_direction_of_the_axial_axis():
    affine = np.diag([-0.6, 0.6, 3.0, 1.0])
    assert apex_is_first(affine)
    assert not apex_is_first(affine @ np.diag([1.0, 1.0, -1.0, 1.0]))


def test_apex_is_first_on_an_oblique_volume_and_another_axis():
    tilt = np.deg2rad(30)
    affine = np.eye(4)
    affine[:3, 0] = 3 * np.array([0, np.sin(tilt), -np.cos(tilt)])
    affine[:3, 2] = 0.6 * np.array([1, 0, 0])
    assert not apex_is_first(affine, axis=0)
    with pytest.raises(ValueError, match="not mainly from foot to head"):
        apex_is_first(affine, axis=2)


@pytest.mark.parametrize(
    ("affine", "axis", "message"), [(np.eye(3), -1, "4x4 matrix"), (np.eye(4), 3, "one of the three volume axes")]
)
def test_apex_is_first_refuses(affine, axis, message):
    with pytest.raises(ValueError, match=message):
        apex_is_first(affine, axis)
