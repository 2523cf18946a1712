"""Eq. 2 and Eq. 3 against values worked out by hand, and every option of the loss.

The example: four voxels, labels 0 0 0 1, P̂ of class 1 = 0.1 0.2 0.4 0.6, for which test_generalized_dice.py derives
L_Dice = 5/12. Eq. 2 is -log 0.9 - log 0.8 - log 0.6 - log 0.6.
"""

from math import log

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DeepSupervisionLoss
from torch.nn import functional

from dam_components.losses import HybridLoss

LABELS = torch.tensor([0, 0, 0, 1]).view(1, 1, 2, 2)
FOREGROUND = torch.tensor([0.1, 0.2, 0.4, 0.6], dtype=torch.float64).view(1, 1, 2, 2)
PROBABILITIES = torch.cat([1 - FOREGROUND, FOREGROUND], dim=1)
LOGITS = PROBABILITIES.log()  # softmax of log P̂ is P̂
DICE = 5 / 12
CROSS_ENTROPY = -log(0.9) - log(0.8) - 2 * log(0.6)


def close(value):
    return pytest.approx(value, abs=1e-5)  # the loss smooths its Dice by eps


def test_eq3_by_hand():
    assert HybridLoss()(LOGITS, LABELS).item() == close(DICE + CROSS_ENTROPY / 4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"lambda_dice": 0}, CROSS_ENTROPY / 4),
        ({"lambda_ce": 0}, DICE),
        ({"lambda_dice": 3, "lambda_ce": 2}, 3 * DICE + 2 * CROSS_ENTROPY / 4),
        ({"reduction": "sum"}, DICE + CROSS_ENTROPY),
        ({"w_type": "simple", "lambda_ce": 0}, 22 / 63),
        ({"w_type": "uniform", "lambda_ce": 0}, 11 / 40),
        ({"include_background": False, "lambda_ce": 0}, 11 / 23),
        ({"include_background": False, "lambda_dice": 0}, CROSS_ENTROPY / 4),
    ],
)
def test_options_by_hand(options, expected):
    assert HybridLoss(**options)(LOGITS, LABELS).item() == close(expected)


def test_probabilities_in_place_of_logits():
    assert HybridLoss(softmax=False)(PROBABILITIES, LABELS).item() == close(DICE + CROSS_ENTROPY / 4)
    assert HybridLoss()(PROBABILITIES, LABELS).item() != close(DICE + CROSS_ENTROPY / 4)


def test_impossible_truth_is_a_large_finite_loss():
    sure = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    # log is cut at 1e-7: three wrong voxels of four
    assert HybridLoss(softmax=False, lambda_dice=0)(sure, LABELS).item() == pytest.approx(-3 / 4 * log(1e-7), rel=1e-4)


def test_onehot_target():
    onehot = torch.cat([LABELS == 0, LABELS == 1], dim=1).float()
    assert torch.equal(HybridLoss(to_onehot_y=False)(LOGITS, onehot), HybridLoss()(LOGITS, LABELS))
    with pytest.raises(ValueError, match=r"target must have shape \(1, 1, 2, 2\).*got \(1, 2, 2, 2\)"):
        HybridLoss(to_onehot_y=True)(LOGITS, onehot)


def test_reduction_over_the_batch():
    # the second item is a perfect one: Dice 0, cross entropy about 0
    perfect = torch.cat([LABELS == 0, LABELS == 1], dim=1).double() * 100
    logits, labels = torch.cat([LOGITS, perfect]), LABELS.expand(2, 1, 2, 2)
    assert HybridLoss()(logits, labels).item() == close(DICE / 2 + CROSS_ENTROPY / 8)
    assert HybridLoss(reduction="sum")(logits, labels).item() == close(DICE + CROSS_ENTROPY)


def test_patch_of_background_alone():
    # no organ: the Dice of the organs is left out (0), the cross entropy still learns
    logits = LOGITS.clone().requires_grad_()
    loss = HybridLoss(include_background=False)(logits, torch.zeros_like(LABELS))
    assert loss.item() == close(-(log(0.9) + log(0.8) + log(0.6) + log(0.4)) / 4)
    loss.backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() > 0
    # with the background, Eq. 1 on one class: Σ P·P̂ = Σ P̂ = 2.7, Σ P = 4
    loss = HybridLoss(lambda_ce=0)(LOGITS, torch.zeros_like(LABELS))
    assert loss.item() == close(1 - 2 * 2.7 / 6.7)


# scales: nearest neighbour takes the voxel whose centre is nearest, of 4x4 the rows and columns 1 and 3
LABELS_4 = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]).view(1, 1, 4, 4)
LABELS_2 = torch.tensor([[1, 0], [0, 1]]).view(1, 1, 2, 2)


def scales():
    torch.manual_seed(0)
    return torch.randn(1, 2, 4, 4), torch.randn(1, 2, 2, 2)


@pytest.mark.parametrize(
    ("weights", "fine", "coarse"),
    [((1, 0.5), 2 / 3, 1 / 3), ((1, 1, 7), 1 / 2, 1 / 2), ((1, 0), 1, 0), ((3, 1), 3 / 4, 1 / 4)],
)
def test_deep_supervision_is_the_weighted_mean_over_scales(weights, fine, coarse):
    x4, x2 = scales()
    plain = HybridLoss()
    expected = fine * plain(x4, LABELS_4) + coarse * plain(x2, LABELS_2)
    torch.testing.assert_close(HybridLoss(deep_supervision_weights=weights)([x4, x2], LABELS_4), expected)


def test_deep_supervision_agrees_with_monai():
    x4, x2 = scales()
    monai = DeepSupervisionLoss(HybridLoss(), weights=[2 / 3, 1 / 3])
    torch.testing.assert_close(HybridLoss()([x4, x2], LABELS_4), monai([x4, x2], LABELS_4.float()))


def test_list_of_one_scale_is_that_scale():
    assert torch.equal(HybridLoss()([LOGITS], LABELS), HybridLoss()(LOGITS, LABELS))


def test_more_scales_than_weights():
    x4, x2 = scales()
    with pytest.raises(ValueError, match="deep_supervision_weights holds 2 weights, the network gave 3 scales"):
        HybridLoss(deep_supervision_weights=(1, 0.5))([x4, x2, x2], LABELS_4)


@pytest.mark.parametrize("weights", [(), (0, 1), (1, -0.5)])
def test_bad_deep_supervision_weights(weights):
    with pytest.raises(ValueError, match=r"deep_supervision_weights must be >= 0, and the finest scale's > 0, got \("):
        HybridLoss(deep_supervision_weights=weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "none"}, "reduction must be 'mean' or 'sum', got 'none'"),
        ({"w_type": "cubic"}, "w_type must be one of .*, got 'cubic'"),
        ({"lambda_dice": -1}, "lambda_dice and lambda_ce must be >= 0 and not both 0, got -1 and 1.0"),
        ({"lambda_dice": 0, "lambda_ce": 0}, "not both 0, got 0 and 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        HybridLoss(**options)


@pytest.mark.parametrize(("value", "span"), [(2, "0..2"), (-1, "-1..1")])
def test_labels_out_of_range(value, span):
    labels = LABELS.clone()
    labels[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match=rf"labels must lie in 0\.\.1 \(the network gives 2 classes\), got {span}$"):
        HybridLoss()(LOGITS, labels)


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 1, 2, 2), (1, 1, 2, 3), (1, 2, 2, 2)])
def test_target_of_another_shape(shape):
    message = r"target must have shape \(1, 1, 2, 2\) for an input of \(1, 2, 2, 2\), got \("
    with pytest.raises(ValueError, match=message):
        HybridLoss()(LOGITS, torch.zeros(shape))


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8, torch.int32])
def test_labels_of_any_type(kind):
    assert torch.equal(HybridLoss()(LOGITS, LABELS.to(kind)), HybridLoss()(LOGITS, LABELS))


def test_monais_tensors():
    x4, x2 = scales()
    expected = HybridLoss()([x4, x2], LABELS_4)
    assert torch.equal(HybridLoss()([MetaTensor(x4), MetaTensor(x2)], MetaTensor(LABELS_4)), expected)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_half_precision_does_not_overflow(kind, reduction):
    # 131072 voxels: float16 ends at 65504, bfloat16 cannot count beyond 256
    torch.manual_seed(0)
    logits, labels = (20 * torch.randn(1, 2, 64, 64, 32)).to(kind), torch.randint(0, 2, (1, 1, 64, 64, 32))
    loss = HybridLoss(reduction=reduction)
    assert loss(logits, labels).dtype == torch.float32
    torch.testing.assert_close(loss(logits, labels), loss(logits.float(), labels))


def test_agrees_with_torchs_cross_entropy():
    x4, _ = scales()
    expected = functional.cross_entropy(x4, LABELS_4.squeeze(1))
    torch.testing.assert_close(HybridLoss(lambda_dice=0)(x4, LABELS_4), expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradcheck(reduction):
    torch.manual_seed(0)
    x = [torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True) for size in ((2, 4), (1, 2))]
    labels = torch.randint(0, 3, (2, 1, 2, 4))
    loss = HybridLoss(reduction=reduction)
    assert torch.autograd.gradcheck(lambda *scales: loss(scales, labels), x)


def test_inputs_are_left_as_they_were():
    logits, labels = LOGITS.clone(), LABELS.clone()
    HybridLoss()(logits, labels)
    assert torch.equal(logits, LOGITS)
    assert torch.equal(labels, LABELS)
