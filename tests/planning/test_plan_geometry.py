"""Spacing, strides and patch, derived by hand."""

import math

import pytest

from dam_components.planning.plan_geometry import patch_and_strides, resampled_shape, stage_strides, target_spacing


def test_the_median_spacing():
    assert target_spacing([[1, 2, 3], [3, 2, 1], [2, 2, 2]], [[50, 50, 50]] * 3) == (2, 2, 2)


def test_a_thick_axis_takes_the_tenth_percentile():
    # 5 is more than 3 x 1; 20 slices are less than a third of 100. 3.5 5 5: 10 % lies 0.2 of the way from 3.5 to 5
    assert target_spacing([[1, 1, 5], [1, 1, 5], [1, 1, 3.5]], [[100, 100, 20]] * 3) == (1, 1, 3.8)
    # the same along the first axis
    assert target_spacing([[5, 1, 1], [5, 1, 1], [3.5, 1, 1]], [[20, 100, 100]] * 3) == (3.8, 1, 1)


def test_no_thick_axis_without_both_ratios():
    assert target_spacing([[1, 1, 3], [1, 1, 3], [1, 1, 1]], [[100, 100, 20]] * 3)[2] == 3  # 3 is not more than 3 x 1
    assert target_spacing([[1, 1, 5], [1, 1, 5], [1, 1, 3.5]], [[100, 100, 60]] * 3)[2] == 5  # 3 x 60 > 100


def test_the_tenth_percentile_is_no_finer_than_the_other_axes():
    # 0.5 and twenty of 5: their 10th percentile would be 5; of two 0.5 in three, 0.5
    assert target_spacing([[1, 1, 5]] * 11 + [[1, 1, 0.5]] * 9, [[100, 100, 20]] * 20)[2] == 1


def test_resampling_keeps_a_voxel():
    assert resampled_shape([[1, 1, 1]], [[10, 10, 1]], [1, 2, 4]).tolist() == [[10, 5, 1]]


def test_strides():
    assert stage_strides((40, 56, 40), (1, 1, 1)) == [(2, 2, 2)] * 3
    # 3.6 > 2 x 1.25, then 3.6 <= 2 x 2.5: halved once, 12 to 6; 6 to 3 would be under 4
    assert stage_strides((104, 104, 12), (1.25, 1.25, 3.6)) == [(2, 2, 1), (2, 2, 2), (2, 2, 1)]
    assert stage_strides((64, 64, 64), (1, 1, 2)) == [(2, 2, 2)] * 3  # twice is not more than twice
    assert stage_strides((64, 64, 64), (1, 1, 1), most=1) == [(2, 2, 2)]


def test_an_axis_too_short_to_be_halved_does_not_hold_the_others_back():
    # x keeps its 6 voxels at 1 mm; of the others 3 is the finest, so all of them are halved at once
    assert stage_strides((6, 16, 16), (1, 3, 3)) == [(1, 2, 2), (1, 2, 2)]


def test_patches():
    assert patch_and_strides((36, 50, 35), (1, 1, 1), 150_000)[0] == (40, 56, 40)
    # 160 160 23 in proportion: z, divisible by 2, goes 24 .. 12 while x and y, divisible by 8, go 160 .. 104
    patch, strides = patch_and_strides((160, 160, 23), (1.25, 1.25, 3.6), 150_000)
    assert patch == (104, 104, 12)
    assert strides == [(2, 2, 1), (2, 2, 2), (2, 2, 1)]


@pytest.mark.parametrize("shape", [(160, 160, 23), (512, 512, 100), (20, 30, 200), (64, 64, 1), (7, 7, 7), (9, 300, 9)])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 0.8, 5.0), (3, 1, 1)])
@pytest.mark.parametrize("voxels", [4096, 150_000, 2_000_000])
def test_patches_keep_the_rules(shape, spacing, voxels):
    patch, strides = patch_and_strides(shape, spacing, voxels)
    total = [math.prod(stride[axis] for stride in strides) for axis in range(3)]
    assert all(n % step == 0 for n, step in zip(patch, total, strict=True))
    assert all(n // step >= 4 or step == 1 for n, step in zip(patch, total, strict=True))
    assert all(n < whole + step for n, whole, step in zip(patch, shape, total, strict=True))  # no more than it takes
    assert math.prod(patch) <= voxels or all(n - step < 8 for n, step in zip(patch, total, strict=True))


def test_the_start_is_a_cube_in_mm():
    # 512 x 512 x 512 at 1 mm and no other budget: 256 a side
    assert patch_and_strides((512, 512, 512), (1, 1, 1), 10**9)[0] == (256, 256, 256)


def test_images_too_small():
    with pytest.raises(ValueError, match="the median image has 6 x 6 x 2 voxels .* needs 7 along one axis at least"):
        patch_and_strides((6, 6, 2), (1, 1, 1), 150_000)
