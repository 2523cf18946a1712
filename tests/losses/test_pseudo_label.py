"""The masked loss against values worked out by hand.

The example of test_hybrid.py: four voxels, labels 0 0 0 1, P̂ of class 1 = 0.1 0.2 0.4 0.6. Without the second voxel:
cross entropy -log 0.9 - 2 log 0.6, over all four voxels. Dice: sizes 2 and 1, weights 1/2 and 1, intersections 1.5 and
0.6, predicted 1.9 and 1.1, so 1 - 2 (1.5/2 + 0.6) / (3.9/2 + 2.1) = 1/3.
"""

from math import log

import pytest
import torch

from dam_components.losses import HybridLoss, PseudoLabelLoss, pseudo_label_loss

LABELS = torch.tensor([0, 0, 0, 1]).view(1, 1, 2, 2)
TRUSTED = torch.tensor([True, False, True, True]).view(1, 1, 2, 2)
FOREGROUND = torch.tensor([0.1, 0.2, 0.4, 0.6], dtype=torch.float64).view(1, 1, 2, 2)
LOGITS = torch.cat([1 - FOREGROUND, FOREGROUND], dim=1).log()
CROSS_ENTROPY = (-log(0.9) - 2 * log(0.6)) / 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 1 / 3 + CROSS_ENTROPY),
        ({"lambda_ce": 0}, 1 / 3),
        ({"lambda_dice": 0}, CROSS_ENTROPY),
        ({"lambda_dice": 3, "lambda_ce": 2}, 1 + 2 * CROSS_ENTROPY),
    ],
)
def test_by_hand(options, expected):
    assert PseudoLabelLoss(**options)(LOGITS, LABELS, TRUSTED).item() == pytest.approx(expected, abs=1e-5)


def test_all_chosen_is_the_hybrid_loss():
    everything = torch.ones_like(TRUSTED)
    expected = HybridLoss(w_type="simple")(LOGITS, LABELS)
    torch.testing.assert_close(PseudoLabelLoss()(LOGITS, LABELS, everything), expected)


def test_none_chosen_is_no_loss_and_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    loss = pseudo_label_loss(logits, LABELS, torch.zeros_like(TRUSTED))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_voxels_not_chosen_get_no_gradient_and_their_labels_do_not_matter():
    logits = LOGITS.clone().requires_grad_()
    pseudo_label_loss(logits, LABELS, TRUSTED).backward()
    assert [bool(g.any()) for g in logits.grad.flatten(2).unbind(-1)] == [True, False, True, True]
    other = torch.where(TRUSTED, LABELS, 1 - LABELS)
    assert torch.equal(pseudo_label_loss(LOGITS, other, TRUSTED), pseudo_label_loss(LOGITS, LABELS, TRUSTED))


def test_gradient_in_float64():
    logits = torch.randn(2, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(18).view(2, 1, 3, 3) % 3
    assert torch.autograd.gradcheck(lambda x: pseudo_label_loss(x, labels, labels != 1), logits)


def test_scales_are_weighed_and_read_labels_and_mask_by_nearest_neighbour():
    coarse = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)  # of the four voxels the last one is the nearest: label 1
    fine = pseudo_label_loss(LOGITS, LABELS, TRUSTED)
    below = pseudo_label_loss(coarse, LABELS[..., 1:, 1:], TRUSTED[..., 1:, 1:])
    loss = PseudoLabelLoss(deep_supervision_weights=(3.0, 1.0))([LOGITS, coarse], LABELS, TRUSTED)
    torch.testing.assert_close(loss, (3 * fine + below) / 4, check_dtype=False)


def test_bad_options():
    with pytest.raises(ValueError, match="lambda_dice and lambda_ce must be >= 0 and not both 0, got 0 and 0"):
        PseudoLabelLoss(0, 0)
    with pytest.raises(ValueError, match="lambda_dice and lambda_ce must be >= 0 and not both 0, got -1 and 2"):
        PseudoLabelLoss(-1, 2)
    for weights in ((), (0, 1), (1, -1)):
        with pytest.raises(ValueError, match="deep_supervision_weights must be >= 0, and the finest scale's > 0, got"):
            PseudoLabelLoss(deep_supervision_weights=weights)
    with pytest.raises(ValueError, match="deep_supervision_weights holds 1 weights, the network gave 2"):
        PseudoLabelLoss(deep_supervision_weights=(1,))([LOGITS, LOGITS], LABELS, TRUSTED)
