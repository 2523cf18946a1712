"""Registration undoes what was done to an image."""

import sys

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from dam_study.baselines import Registration
from dam_study.baselines.simple_itk import simple_itk, to_itk

SPACING = (1.0, 1.0, 2.0)
INNER = (slice(5, -5), slice(5, -5), slice(3, -3))


def off(one, other):
    return float(np.abs(one - other)[INNER].mean())


def bent(volume):
    """The volume behind a displacement of up to 2 voxels that no affine map is."""
    x, y, z = np.meshgrid(*(np.arange(n, dtype=float) for n in volume.shape), indexing="ij")
    x = x + 2 * np.sin(2 * np.pi * y / volume.shape[1])
    return map_coordinates(volume, [x, y, z], order=1, mode="nearest")


@pytest.mark.parametrize("metric", ["correlation", "mutual_information"])
def test_affine_finds_a_shift(texture, metric):
    fixed = texture()
    moving = np.roll(fixed, (2, -1, 1), (0, 1, 2))
    warp = Registration("none", metric)(fixed, moving, SPACING)
    before, after = off(moving, fixed), off(warp(moving), fixed)
    assert after < 0.25 * before

    # where the shifted label lies is known: nearest gives whole labels at their old place
    label = np.zeros(fixed.shape, np.uint8)
    label[8:15, 7:13, 5:11] = 3
    back = warp(np.roll(label, (2, -1, 1), (0, 1, 2)), nearest=True)
    assert set(np.unique(back)) == {0, 3}
    assert (back == label).mean() > 0.98


@pytest.mark.parametrize(("deformable", "steps"), [("bspline", 15), ("demons", 60)])
def test_a_deformable_step_undoes_what_affine_cannot(texture, deformable, steps):
    fixed = texture(1)
    moving = bent(fixed)
    left = {}
    for kind in ("none", deformable):
        options = Registration(kind, "correlation", grid_mm=6.0, deformable_iterations=steps, samples=2500)
        left[kind] = off(options(fixed, moving, SPACING)(moving), fixed)
    assert left[deformable] < 0.4 * left["none"]


@pytest.mark.parametrize(
    "change",
    [
        {"metric": "mutual_information"},
        {"levels": (1,)},
        {"iterations": 2},
        {"samples": 300},
        {"deformable_iterations": 1},
        {"grid_mm": 20.0},
        {"deformable": "demons"},
    ],
)
def test_options_reach_the_result(texture, change):
    fixed, moving = texture(2), bent(texture(2))
    base = {"deformable": "bspline", "metric": "correlation", "iterations": 8, "deformable_iterations": 4}
    one, other = (
        Registration(**{**base, "grid_mm": 8.0, "samples": 1500, **extra})(fixed, moving, SPACING)
        for extra in ({}, change)
    )
    assert not np.array_equal(one(moving), other(moving))


def test_smoothing_is_the_demons(texture):
    fixed, moving = texture(2), bent(texture(2))
    rough, smooth = (
        Registration("demons", "correlation", iterations=3, deformable_iterations=5, smoothing=s)(
            fixed, moving, SPACING
        )
        for s in (0.5, 3.0)
    )
    assert not np.array_equal(rough(moving), smooth(moving))


def test_the_same_again_gives_the_same(texture):
    fixed, moving = texture(2), bent(texture(2))
    options = Registration("bspline", iterations=5, deformable_iterations=3, samples=500)
    one, other = (options(fixed, moving, SPACING)(moving) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_outside_is_the_lowest_value():
    volume = np.full((6, 6, 6), 5.0, np.float32)
    volume[3] = -2
    far = simple_itk().TranslationTransform(3, (100.0, 0.0, 0.0))
    assert to_itk(volume, (1, 1, 1)).GetSize() == (6, 6, 6)
    options = Registration("none")
    object.__setattr__(options, "_affine", lambda *_: far)
    assert (options(volume, volume, (1, 1, 1))(volume) == -2).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deformable": "elastic"}, "deformable must be one of bspline, demons, none, got 'elastic'"),
        ({"metric": "ssd"}, "metric must be one of mutual_information, correlation, got 'ssd'"),
        ({"levels": ()}, "levels must be shrink factors of at least 1"),
        ({"levels": (0,)}, "levels must be shrink factors of at least 1"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"deformable_iterations": 0}, "deformable_iterations must be at least 1, got 0"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"grid_mm": 0.0}, "grid_mm must be positive, got 0.0"),
        ({"smoothing": -1.0}, "smoothing must be positive, got -1.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        Registration(**options)


def test_without_simpleitk_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ImportError, match=r"need SimpleITK: pip install 'dam-components\[study\]'"):
        simple_itk()
