"""The rules that make a plan, case by case."""

import dataclasses

import pytest

from dam_components.planning.fingerprint import Fingerprint, Intensity
from dam_components.planning.plan import CtRange, make_plan, plan_batch, plan_rotation

SOFT = Intensity(low=-100.0, median=40.0, high=200.0, mean=50.0, sd=25.0)


def fingerprint(**changes):
    """100 cases of 36 x 50 x 35 voxels of 1 mm."""
    base = Fingerprint(
        cases=100,
        channel_names=["MRI"],
        label_names={"1": "organ"},
        ct=False,
        spacing_mm=[[1.0, 1.0, 1.0]] * 100,
        shape=[[36, 50, 35]] * 100,
        box=[[36, 50, 35]] * 100,
        label_share={"0": 0.9, "1": 0.1},
        label_cases={"0": 100, "1": 100},
        largest_piece={"1": 1.0},
        anisotropy=1.0,
        inside=[SOFT],
        outside=[SOFT],
    )
    return dataclasses.replace(base, **{"box": changes.get("shape", base.shape), **changes})


def test_an_isotropic_set():
    plan = make_plan(fingerprint())
    assert plan.spacing == [1, 1, 1]
    assert plan.patch_size == [40, 48, 32]
    assert plan.median_shape == [36, 50, 35]
    assert plan.strides == [2, 2, 2]
    assert plan.channels == [16, 32, 64, 128]
    assert (plan.batch_size, plan.patches_per_case) == (1, 1)
    assert plan.rotation == [0.26, 0.26, 0.26]
    assert plan.overlap == 0.5
    assert plan.folds == {"fold": 0, "folds": 5, "validation": 10, "seed": 0}
    # 100 - 20 - 10 cases train: 70 steps an epoch, 5000 / 70 = 71 epochs, a twentieth is 3
    assert (plan.epochs, plan.val_interval) == (71, 3)
    assert not plan.keep_last
    assert make_plan(fingerprint(cases=94)).keep_last
    assert plan.ct is None
    assert plan.flip
    assert plan.cache_rate == 1


def test_a_set_of_thick_slices():
    plan = make_plan(fingerprint(spacing_mm=[[1.25, 1.25, 3.0]] * 100, shape=[[160, 160, 28]] * 100), 150_000)
    assert plan.strides == [[2, 2, 1], 2, 2]
    assert plan.rotation == [0, 0, 0.26]


def test_a_gpu_takes_several_patches_a_step():
    plan = make_plan(fingerprint(), patch_voxels=1_000_000)  # it holds the image, and 8 of it
    assert (plan.patch_size, plan.batch_size, plan.patches_per_case) == ([40, 56, 40], 8, 1)
    assert plan.epochs == 500  # 70 // 8 = 8 steps an epoch, and no more than 500 epochs


def test_the_grid_can_be_given():
    plan = make_plan(fingerprint(shape=[[160, 160, 24]] * 100, spacing_mm=[[1, 1, 3]] * 100), spacing=(2, 2, 3))
    assert plan.spacing == [2, 2, 3]
    assert plan.median_shape == [80, 80, 24]


def test_structures_of_one_piece_in_every_case_are_kept_in_one_piece():
    assert make_plan(fingerprint()).largest_component == [1]
    labels = {"1": "organ", "2": "lesions", "3": "nearly one piece", "4": "in no case"}
    plan = make_plan(fingerprint(label_names=labels, largest_piece={"1": 0.5, "2": 0.9899, "3": 0.99}))
    assert plan.largest_component == [3]


def test_patch_voxels_is_heeded():
    small, large = (make_plan(fingerprint(shape=[[200] * 3] * 100), patch_voxels=n) for n in (4096, 2_000_000))
    assert small.patch_size == [16, 16, 16]
    assert large.patch_size == [128, 120, 128] or max(large.patch_size) == 128
    with pytest.raises(ValueError, match=r"patch_voxels must be at least 4096 \(16 x 16 x 16\), got 4095"):
        make_plan(fingerprint(), patch_voxels=4095)


def test_small_images_have_fewer_stages():
    plan = make_plan(fingerprint(shape=[[14, 14, 14]] * 100))
    assert plan.strides == [2, 2]
    assert plan.channels == [16, 32, 64]
    assert plan.patch_size == [16, 16, 16]


@pytest.mark.parametrize(
    ("cases", "folds"), [(3, (3, 1)), (4, (4, 1)), (8, (5, 2)), (12, (5, 4)), (30, (5, 9)), (36, (5, 9))]
)
def test_folds_of_few_cases(cases, folds):
    few = fingerprint(cases=cases, spacing_mm=[[1.0] * 3] * cases, shape=[[36, 50, 35]] * cases)
    plan = make_plan(few)
    assert (plan.folds["folds"], plan.folds["validation"]) == folds
    assert 20 <= plan.epochs <= 500


def test_epochs_have_limits():
    many = 20_000  # 20 000 - 4000 - 2000 cases train: 4666 steps an epoch
    large = fingerprint(cases=many, spacing_mm=[[1.0] * 3] * many, shape=[[36, 50, 35]] * many)
    assert (make_plan(large).epochs, make_plan(large).val_interval) == (20, 1)
    few = fingerprint(cases=3, spacing_mm=[[1.0] * 3] * 3, shape=[[36, 50, 35]] * 3)
    assert make_plan(few).epochs == 500


def test_ct_is_normalised_by_the_structures():
    assert make_plan(fingerprint(ct=True)).ct == CtRange(-100, 200, 50, 25)
    # two channels of means 50 and 150: mean 100, variance 25 ** 2 + 50 ** 2
    late = dataclasses.replace(SOFT, mean=150.0, high=400.0)
    assert make_plan(fingerprint(ct=True, channel_names=["CT", "CT"], inside=[SOFT, late])).ct == CtRange(
        -100, 400, 100, 55.9017
    )
    with pytest.raises(ValueError, match="structures have the value 5: this cannot be CT; name --modality MR"):
        make_plan(fingerprint(ct=True, inside=[Intensity(5, 5, 5, 5, 0)]))


@pytest.mark.parametrize(
    ("name", "flip"),
    [
        *(
            (side, False)
            for side in ("left kidney", "kidney_Right", "Left-Hippocampus", "hippocampus (left)", "LeftLung")
        ),
        *((side, False) for side in ("ctx-lh-insula", "kidney_l", "L kidney", "lungleft", "Rechts", "RH")),
        *((none, True) for none in ("kidney", "liver", "L1 vertebra", "label 1", "upper lobe", "cerebellum", "rib 4")),
    ],
)
def test_sides_are_not_flipped(name, flip):
    assert make_plan(fingerprint(label_names={"1": name})).flip is flip


def test_what_memory_does_not_hold_is_not_cached():
    # 36 x 50 x 35 x 4 bytes x (1 channel and the label) = 0.504 MB a case, 50.4 MB in all
    assert make_plan(fingerprint(), cache_gb=0.0252).cache_rate == 0.5
    with pytest.raises(ValueError, match="cache_gb must be positive, got 0"):
        make_plan(fingerprint(), cache_gb=0)


def test_batches():
    assert plan_batch(10, 10, 999_999) == (1, 1)  # a CPU's budget
    assert plan_batch(10, 10, 1_000_000) == (8, 1)  # not more than 8
    assert plan_batch(2_000_000, 1_000_000, 1_000_000) == (1, 2)  # not fewer than 2; an image holds two
    assert plan_batch(1_999_999, 1_000_000, 1_000_000) == (2, 1)


def test_rotation_is_about_the_short_axis():
    assert plan_rotation((16, 96, 96)) == [0.26, 0, 0]
    assert plan_rotation((96, 96, 32)) == [0.26] * 3  # not more than 3


def test_the_box_of_what_is_not_zero():
    whole = make_plan(fingerprint(box=[[33, 46, 32]] * 100))  # 77 % of the image
    assert not whole.crop_nonzero
    assert whole.median_shape == [36, 50, 35]
    cropped = make_plan(fingerprint(box=[[32, 45, 32]] * 100))  # 73 %
    assert cropped.crop_nonzero
    assert cropped.median_shape == [32, 45, 32]
    assert not make_plan(fingerprint(box=[[8, 8, 8]] * 100, ct=True)).crop_nonzero  # 0 is water
