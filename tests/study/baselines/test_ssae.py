"""The whole of the second baseline on balls in noise."""

import pytest
import torch

from dam_study.baselines import Registration, SparsePatchMatching

FAST = Registration("bspline", "correlation", levels=(1,), iterations=5)
TINY = {
    "patch_size": (5, 5, 3),
    "hidden": (12, 6),
    "epochs": 2,
    "refine_epochs": 8,
    "patches_per_case": 60,
    "neighbours": 6,
    "margin": 1,
    "registration": FAST,
}


@pytest.fixture(scope="module")
def cases(ball_case):
    return [ball_case(shift, str(k), seed=k + 1) for k, shift in enumerate([(2, 0, 0), (0, -1, 0), (1, 1, 1)])]


def build(cases, **options):
    return SparsePatchMatching(cases, dict, (1.0, 1.0, 1.0), 2, **{**TINY, **options})


@pytest.fixture(scope="module")
def image(ball_case):
    return torch.from_numpy(ball_case()["image"])[None]


@pytest.fixture(scope="module")
def plain(cases, image):
    return build(cases)(image)


def test_a_ball_is_found(plain, ball_case):
    assert plain.shape == (1, 2, 16, 14, 12)
    torch.testing.assert_close(plain.sum(1), torch.ones(1, 16, 14, 12))
    found, truth = plain[0].argmax(0) == 1, torch.from_numpy(ball_case()["label"][0]) == 1
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.85


def test_it_is_seeded_and_aligns_linearly(cases, image, plain):
    model = build(cases)
    assert torch.equal(model(image), plain)
    assert model.registration.deformable == "none"
    encoder = model.encoder
    model(image)
    assert model.encoder is encoder  # fitted once


@pytest.mark.parametrize(
    "change",
    [
        {"atlases": 1},
        {"patch_size": (3, 3, 3)},
        {"hidden": (8,)},
        {"sparsity": 0.4},
        {"sparsity_weight": 5.0},
        {"epochs": 1},
        {"refine_epochs": 0},
        {"patches_per_case": 20},
        {"search": 0},
        {"margin": 0},
        {"matching": "nearest"},
        {"neighbours": 2},
        {"penalty": 0.5},
        {"seed": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_options_reach_the_likelihood(cases, image, plain, change):
    assert not torch.equal(build(cases, **change)(image), plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": (4, 5, 3)}, r"patch_size must be odd along each axis, .* got \[4, 5, 3\]"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"refine_epochs": -1}, "refine_epochs must be at least 0, got -1"),
        ({"patches_per_case": 1}, "patches_per_case must be at least 2, got 1"),
        ({"search": -1}, "search must be at least 0, got -1"),
        ({"margin": -1}, "margin must be at least 0, got -1"),
        ({"matching": "ridge"}, "matching must be one of lasso, nearest, got 'ridge'"),
    ],
)
def test_bad_options(cases, options, message):
    with pytest.raises(ValueError, match=message):
        build(cases, **options)


def test_cases_without_organs(ball_case):
    empty = ball_case()
    empty["label"] = empty["label"] * 0
    with pytest.raises(ValueError, match="no training case has a voxel of any organ"):
        build([empty])(torch.from_numpy(empty["image"])[None])
