"""Eq. 1 and Eq. 7 against values worked out by hand.

The example all of them use: four voxels, labels 0 0 0 1, P̂ of class 1 = 0.1 0.2 0.4 0.6. Hence

    class   Σ P·P̂                     Σ P   Σ P̂
    0       0.9 + 0.8 + 0.6 = 2.3      3     2.7
    1       0.6                        1     1.3
"""

import pytest
import torch
from monai.losses import GeneralizedDiceLoss

from dam_components.losses.generalized_dice import (
    class_overlap,
    generalized_dice_loss,
    generalized_dice_weights,
)
from dam_components.predicted_class import predict_class

LABELS = torch.tensor([0, 0, 0, 1]).view(1, 1, 2, 2)
FOREGROUND = torch.tensor([0.1, 0.2, 0.4, 0.6], dtype=torch.float64).view(1, 1, 2, 2)
VALUES = torch.cat([1 - FOREGROUND, FOREGROUND], dim=1)


def test_class_overlap_by_hand():
    intersection, reference, predicted = class_overlap(VALUES, LABELS)
    assert intersection[0].tolist() == pytest.approx([2.3, 0.6])
    assert reference[0].tolist() == [3, 1]
    assert predicted[0].tolist() == pytest.approx([2.7, 1.3])


def test_class_overlap_keeps_items_and_classes_apart():
    values, labels = torch.rand(2, 3, 2, 3, 4), torch.randint(0, 3, (2, 1, 2, 3, 4))
    onehot = torch.cat([labels == c for c in range(3)], dim=1).float()
    expected = [(onehot * values).flatten(2).sum(-1), onehot.flatten(2).sum(-1), values.flatten(2).sum(-1)]
    for part, wanted in zip(class_overlap(values, labels), expected, strict=True):
        torch.testing.assert_close(part, wanted)


def test_class_overlap_counts_more_voxels_than_half_precision_can():
    # bfloat16 has 8 significant bits: adding ones in it stops at 256
    values = torch.ones(1, 1, 64, 64, 32, dtype=torch.bfloat16)
    for part in class_overlap(values, torch.zeros(1, 1, 64, 64, 32, dtype=torch.long)):
        assert part.dtype == torch.float32
        assert part.item() == 64 * 64 * 32


def test_float32_counts_a_large_patch_as_float64_does():
    # one voxel after the other, two million ones times 0.97 were 2 % off
    values = torch.full((1, 1, 128, 128, 128), 0.97)
    labels = torch.zeros(1, 1, 128, 128, 128, dtype=torch.long)
    for part, exact in zip(class_overlap(values, labels), class_overlap(values.double(), labels), strict=True):
        torch.testing.assert_close(part, exact.float(), rtol=2e-4, atol=0)


# π = (1/9, 1):   1 - 2 (2.3/9 + 0.6) / (5.7/9 + 2.3) = 1 - 154/264 = 5/12
# π = (1/3, 1):   1 - 2 (2.3/3 + 0.6) / (5.7/3 + 2.3) = 1 - 82/126  = 22/63
# π = (1, 1):     1 - 2 (2.3 + 0.6) / (5.7 + 2.3)     = 1 - 5.8/8   = 11/40
# class 1 alone:  1 - 2 * 0.6 / 2.3                                 = 11/23, whatever its π
@pytest.mark.parametrize(
    ("w_type", "include_background", "expected"),
    [
        ("square", True, 5 / 12),
        ("simple", True, 22 / 63),
        ("uniform", True, 11 / 40),
        ("square", False, 11 / 23),
        ("simple", False, 11 / 23),
    ],
)
def test_eq1_by_hand(w_type, include_background, expected):
    loss = generalized_dice_loss(class_overlap(VALUES, LABELS), None, include_background, w_type, eps=0)
    assert loss.tolist() == pytest.approx([expected])


def test_eq7_by_hand():
    # dsc = (0.5, 0.8), γ = 2: a = (0.25, 0.04); with π = (1/9, 1), both sums times 90:
    # 1 - 2 (0.25 * 23 + 0.04 * 54) / (0.25 * 57 + 0.04 * 207) = 1 - 15.82 / 22.53
    attention = torch.tensor([0.25, 0.04], dtype=torch.float64)
    overlap = class_overlap(VALUES, LABELS)
    assert generalized_dice_loss(overlap, attention, eps=0).item() == pytest.approx(1 - 15.82 / 22.53)
    # without the background one class is left, and an attention common to all classes cancels
    assert generalized_dice_loss(overlap, attention, include_background=False, eps=0).item() == pytest.approx(11 / 23)
    assert generalized_dice_loss(overlap, 0 * attention + 0.3, eps=0).item() == pytest.approx(5 / 12)


def test_attention_reaches_the_right_class_without_background():
    # sizes 1, 2, 1, predicted 3, 1, 0, right 1, 1, 0; a = (5, 1, 0) without its first entry leaves class 1:
    # 1 - 2 * 1 / (2 + 1) = 1/3
    overlap = tuple(torch.tensor([part]) for part in ([1.0, 1.0, 0.0], [1.0, 2.0, 1.0], [3.0, 1.0, 0.0]))
    attention = torch.tensor([5.0, 1.0, 0.0])
    loss = generalized_dice_loss(overlap, attention, include_background=False, eps=0)
    assert loss.item() == pytest.approx(1 / 3)


def test_eps_is_relative_to_the_weighted_sums():
    # weights scaled to sum to 1 are (0.1, 0.9): sums 2 * 0.77 and 2.64; with eps = 1: 1 - 2.54 / 3.64
    loss = generalized_dice_loss(class_overlap(VALUES, LABELS), eps=1)
    assert loss.item() == pytest.approx(1 - 2.54 / 3.64)


def test_loss_is_0_for_the_truth_and_1_without_overlap():
    truth = torch.cat([LABELS == 0, LABELS == 1], dim=1).double()
    assert generalized_dice_loss(class_overlap(truth, LABELS)).item() == pytest.approx(0, abs=1e-9)
    assert generalized_dice_loss(class_overlap(1 - truth, LABELS)).item() == pytest.approx(1, abs=1e-4)


def test_repeating_the_voxels_changes_nothing():
    # all sums grow by 4, π by 1/16: the ratio stays
    repeated = class_overlap(VALUES.repeat(1, 1, 2, 2), LABELS.repeat(1, 1, 2, 2))
    assert generalized_dice_loss(repeated, eps=0).item() == pytest.approx(5 / 12)


def test_absent_class_weighs_nothing():
    # class 2 is nowhere in the labels: what is predicted as class 2 only counts as missing from the others.
    # P̂_2 = 0.1 taken from class 0 at the first voxel: Σ P·P̂_0 = 2.2, Σ P̂_0 = 2.6
    # 1 - 2 (2.2/9 + 0.6) / (5.6/9 + 2.3) = 1 - (22 + 54) * 2 / (56 + 207)
    extra = torch.zeros_like(FOREGROUND)
    extra[0, 0, 0, 0] = 0.1
    values = torch.cat([VALUES[:, :1] - extra, VALUES[:, 1:], extra], dim=1)
    loss = generalized_dice_loss(class_overlap(values, LABELS), eps=0)
    assert loss.item() == pytest.approx(1 - 152 / 263)


def test_no_class_to_compare_gives_0_and_no_gradient():
    values = VALUES.clone().requires_grad_()
    loss = generalized_dice_loss(class_overlap(values, torch.zeros_like(LABELS)), include_background=False)
    loss.sum().backward()
    assert loss.tolist() == [0]
    assert values.grad.abs().max() == 0
    assert generalized_dice_loss(class_overlap(VALUES, LABELS), torch.zeros(2)).tolist() == [0]


def test_weights_of_tiny_and_huge_classes_stay_finite():
    reference = torch.tensor([[3e7, 1.0]])  # π: 1e-15 and 1
    loss = generalized_dice_loss((torch.tensor([[2e7, 1.0]]), reference, torch.tensor([[2e7, 2.0]])))
    assert loss.item() == pytest.approx(1 - 2 / 3, abs=1e-4)
    # one class alone counts in full, however small its π
    loss = generalized_dice_loss((torch.tensor([[1e7, 0.0]]), torch.tensor([[3e7, 0.0]]), torch.tensor([[1e7, 0.0]])))
    assert loss.item() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize("w_type", ["square", "simple", "uniform"])
def test_eq1_is_monais_generalized_dice_where_all_classes_are_present(w_type, include_background):
    torch.manual_seed(0)
    values, labels = torch.randn(2, 3, 4, 4, 4).softmax(1), torch.randint(0, 3, (2, 1, 4, 4, 4))
    assert all((labels[i] == c).any() for i in range(2) for c in range(3))
    monai = GeneralizedDiceLoss(
        include_background, to_onehot_y=True, w_type=w_type, smooth_nr=0, smooth_dr=0, reduction="none"
    )
    ours = generalized_dice_loss(class_overlap(values, labels), None, include_background, w_type, eps=0)
    torch.testing.assert_close(ours, monai(values, labels).flatten())


def test_weights_by_hand_and_by_name():
    sizes = torch.tensor([[10.0, 2.0, 0.0]])
    assert generalized_dice_weights(sizes, "square")[0].tolist() == pytest.approx([0.01, 0.25, 0])
    assert generalized_dice_weights(sizes, "simple")[0].tolist() == pytest.approx([0.1, 0.5, 0])
    assert generalized_dice_weights(sizes, "uniform")[0].tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match=r"w_type must be one of \['simple', 'square', 'uniform'\], got 'cubic'"):
        generalized_dice_weights(sizes, "cubic")


def test_gradcheck():
    torch.manual_seed(0)
    values = torch.randn(2, 3, 3, 2, dtype=torch.float64).softmax(1).requires_grad_()
    labels = torch.tensor([[0, 1, 2, 0, 1, 1], [0, 0, 1, 1, 0, 1]]).view(2, 1, 3, 2)  # class 2 absent from one item
    attention = torch.tensor([0.1, 0.7, 0.4], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: generalized_dice_loss(class_overlap(v, labels), attention), (values,))


def test_chosen_class_is_argmax_and_the_first_of_equals():
    values = torch.randn(2, 5, 6, 4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(predict_class(values), values.argmax(1, keepdim=True))
    assert predict_class(torch.tensor([[[0.2], [0.4], [0.4]]])).tolist() == [[[1]]]


def test_what_the_true_class_got_may_be_given():
    for own, given in zip(
        class_overlap(VALUES, LABELS), class_overlap(VALUES, LABELS, VALUES.gather(1, LABELS)), strict=True
    ):
        assert torch.equal(own, given)
    assert class_overlap(VALUES, LABELS, torch.zeros_like(VALUES[:, :1]))[0].sum() == 0
