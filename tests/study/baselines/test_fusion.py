"""What atlases say together, on volumes small enough to count by hand."""

import numpy as np
import pytest

from dam_study.baselines import fuse_labels


def label(seed):
    return np.random.default_rng(seed).integers(0, 3, (6, 5, 4)).astype(np.uint8)


@pytest.fixture
def image():
    return np.random.default_rng(9).normal(size=(1, 6, 5, 4)).astype(np.float32)


@pytest.mark.parametrize("fusion", ["majority", "weighted", "staple"])
def test_identical_atlases_give_themselves(image, fusion):
    shares = fuse_labels([(image, label(0))] * 3, image, 3, fusion)
    assert shares.shape == (3, 6, 5, 4)
    assert shares.dtype == np.float32
    np.testing.assert_array_equal(shares.argmax(0), label(0))
    np.testing.assert_allclose(shares.sum(0), 1, rtol=1e-6)


def test_majority_counts(image):
    ones, twos = (np.full((6, 5, 4), k, np.uint8) for k in (1, 2))
    shares = fuse_labels(iter([(image, ones), (image + 5, ones), (image, twos), (image, ones)]), image, 3)
    np.testing.assert_allclose(shares[:, 0, 0, 0], [0, 0.75, 0.25])


def test_weights_favour_the_similar_atlas_where_it_is_similar(image):
    """Two atlases off by 1 vote 1, one off by 0.5 votes 2: squared differences 1, 1 and 1/4, so with power 1 weights of
    1, 1 and 4, and 2 has 4/6; with power 2, 16/18; with power 0, 1/3 as in majority."""
    ones, twos = (np.full((6, 5, 4), k, np.uint8) for k in (1, 2))
    atlases = [(image + 1, ones), (image - 1, ones), (image + 0.5, twos)]
    for power, share in ((1, 4 / 6), (2, 16 / 18), (0, 1 / 3)):
        weighted = fuse_labels(atlases, image, 3, "weighted", power=power)
        np.testing.assert_allclose(weighted[2], share, rtol=1e-4)
    assert (fuse_labels(atlases, image, 3).argmax(0) == 1).all()

    half = image + 0.5
    half[:, 3:] = image[:, 3:] + 3  # similar on one side only
    local = fuse_labels([*atlases[:2], (half, twos)], image, 3, "weighted", radius=0).argmax(0)
    assert (local[:3] == 2).all()
    assert (local[3:] == 1).all()
    wide = fuse_labels([*atlases[:2], (half, twos)], image, 3, "weighted", radius=2).argmax(0)
    assert not np.array_equal(local, wide)


def test_staple_trusts_the_atlas_that_agrees():
    """Of four raters, two agree, two say something else at random: where it is 2 to 2, the two that agree win."""
    draw = np.random.default_rng(3)
    truth = (draw.random((12, 12, 8)) < 0.4).astype(np.uint8)
    wild = [np.where(draw.random(truth.shape) < 0.4, 1 - truth, truth).astype(np.uint8) for _ in range(2)]
    image = np.zeros((1, *truth.shape), np.float32)
    atlases = [(image, one) for one in (truth, truth, *wild)]
    assert (fuse_labels(atlases, image, 2, "staple").argmax(0) == truth).mean() > 0.99
    assert (fuse_labels(atlases, image, 2, "majority").argmax(0) == truth).mean() < 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "mean"}, "fusion must be one of majority, weighted, staple, got 'mean'"),
        ({"radius": -1}, "radius and power must not be negative, got -1 and 2.0"),
        ({"power": -0.5}, "radius and power must not be negative, got 2 and -0.5"),
    ],
)
def test_bad_options(image, options, message):
    with pytest.raises(ValueError, match=message):
        fuse_labels([(image, label(0))], image, 3, **options)


@pytest.mark.parametrize("fusion", ["majority", "staple"])
def test_no_atlas(image, fusion):
    with pytest.raises(ValueError, match="at least one registered atlas, got none"):
        fuse_labels([], image, 3, fusion)
