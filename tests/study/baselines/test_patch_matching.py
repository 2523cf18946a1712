"""Patches and their matching, by hand."""

import pytest
import torch

from dam_study.baselines import match_patches, take_patches


def test_patches_are_what_lies_around(texture):
    image = torch.from_numpy(texture())[None].repeat(2, 1, 1, 1)
    image[1] += 1
    centres = torch.tensor([[5, 6, 7], [10, 3, 9]])
    rows = take_patches(image, centres, (3, 5, 1))
    for row, (x, y, z) in zip(rows, centres.tolist(), strict=True):
        assert torch.equal(row, image[:, x - 1 : x + 2, y - 2 : y + 3, z : z + 1].flatten())
    corner = take_patches(image[:1], torch.tensor([[0, 0, 0]]), (3, 1, 1))[0]
    assert torch.equal(corner, image[0, [0, 0, 1], 0, 0])


def test_a_patch_has_a_middle():
    image = torch.zeros(1, 4, 4, 4)
    with pytest.raises(ValueError, match=r"patch_size must be odd along each axis, .* got \[3, 4, 3\]"):
        take_patches(image, torch.zeros(1, 3, dtype=torch.long), (3, 4, 3))
    with pytest.raises(ValueError, match=r"patch_size must name 3 axes, got \[3, 3\]"):
        take_patches(image, torch.zeros(1, 3, dtype=torch.long), (3, 3))


def test_lasso_by_hand():
    """Orthonormal candidates: w = max(f - penalty, 0). f = (0.8, 0.6) and penalty 0.2 give 0.6 and 0.4."""
    f = torch.tensor([[0.8, 0.6, 0.0]])
    D = torch.eye(3)[None]
    shares = match_patches(f, D, torch.tensor([[1, 0, 2]]), 3, penalty=0.2)
    torch.testing.assert_close(shares, torch.tensor([[0.4, 0.6, 0.0]]), atol=1e-4, rtol=0)
    # 0.65 leaves the first alone; with 1 all weights are 0 and the nearest counts
    for penalty in (0.65, 1.0):
        shares = match_patches(f, D, torch.tensor([[1, 0, 2]]), 3, penalty=penalty)
        torch.testing.assert_close(shares, torch.tensor([[0.0, 1.0, 0.0]]))


def test_nearest_by_hand():
    """Squared distances d and 2d, so weights of exp(-1) and exp(-2): shares 1/(1 + 1/e) and the rest."""
    angles = torch.tensor([0.5, 2**0.5 * 0.5], dtype=torch.float64)
    angles[1] = 2 * torch.asin(2**0.5 * torch.sin(angles[0] / 2))  # chord times the square root of 2
    D = torch.stack([angles.cos(), angles.sin()], 1)[None]
    f = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    shares = match_patches(f, D, torch.tensor([[1, 0]]), 2, "nearest")
    expected = 1 / (1 + torch.tensor(-1.0, dtype=torch.float64).exp())
    torch.testing.assert_close(shares[0, 1], expected)
    same = match_patches(f, f[None], torch.tensor([[1]]), 2, "nearest")
    torch.testing.assert_close(same, torch.tensor([[0.0, 1.0]], dtype=torch.float64))


@pytest.mark.parametrize("matching", ["lasso", "nearest"])
def test_the_label_of_the_like_is_found(matching):
    draw = torch.Generator().manual_seed(0)
    prototypes = torch.rand(3, 12, generator=draw)
    kinds = torch.randint(3, (40,), generator=draw)
    labels = torch.randint(3, (40, 30), generator=draw)
    labels[:, :3] = torch.arange(3)
    noise = 0.03 * torch.rand(40, 30, 12, generator=draw)
    found = match_patches(prototypes[kinds], prototypes[labels] + noise, labels, 3, matching)
    assert torch.equal(found.argmax(1), kinds)
    torch.testing.assert_close(found.sum(1), torch.ones(40))


@pytest.mark.parametrize("matching", ["lasso", "nearest"])
def test_neighbours_bound_who_counts(matching):
    f = torch.tensor([[0.8, 0.6]])
    candidates, labels = torch.eye(2)[None], torch.tensor([[1, 0]])
    assert match_patches(f, candidates, labels, 2, matching, neighbours=1)[0, 0] == 0
    assert match_patches(f, candidates, labels, 2, matching, neighbours=2)[0, 0] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"matching": "ridge"}, "matching must be one of lasso, nearest, got 'ridge'"),
        ({"neighbours": 0}, "neighbours must be at least 1, got 0"),
        ({"penalty": 0.0}, "penalty must be positive, got 0.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        match_patches(torch.ones(1, 2), torch.ones(1, 1, 2), torch.zeros(1, 1), 2, **options)
