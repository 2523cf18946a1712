"""Eq. 8-10 against values worked out by hand, and every option of the loss.

The example of test_hybrid.py (labels 0 0 0 1, P̂ of class 1 = 0.1 0.2 0.4 0.6), with M = 0 0.5 0.9 1.
"""

from math import log

import pytest
import torch
from monai.data import MetaTensor

from dam_components.losses import DifficultyAwareHybridLoss, HybridLoss, difficulty_attention

LABELS = torch.tensor([0, 0, 0, 1]).view(1, 1, 2, 2)
FOREGROUND = torch.tensor([0.1, 0.2, 0.4, 0.6], dtype=torch.float64).view(1, 1, 2, 2)
LOGITS = torch.cat([1 - FOREGROUND, FOREGROUND], dim=1).log()
CONFIDENCE = torch.tensor([0.0, 0.5, 0.9, 1.0], dtype=torch.float64).view(1, 1, 2, 2)
PER_VOXEL = [-log(0.9), -log(0.8), -log(0.6), -log(0.6)]


def weighed(*weights):
    """Eq. 8 as a mean."""
    return sum(w * loss for w, loss in zip(weights, PER_VOXEL, strict=True)) / 4


def close(value):
    return pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(
    ("beta", "attention_floor", "normalize", "expected"),
    [
        (2, 0, False, [1, 0.25, 0.01, 0]),
        (1, 0, False, [1, 0.5, 0.1, 0]),
        (0, 0, False, [1, 1, 1, 1]),  # 0 ** 0 is 1: β = 0 gives F = 1 also where D is sure
        (1, 1, False, [2, 1.5, 1.1, 1]),
        (1, 0, True, [1 / 0.4, 0.5 / 0.4, 0.1 / 0.4, 0]),  # mean of 1 0.5 0.1 0 is 0.4
        (1, 1, True, [2 / 1.4, 1.5 / 1.4, 1.1 / 1.4, 1 / 1.4]),
    ],
)
def test_eq9_by_hand(beta, attention_floor, normalize, expected):
    assert difficulty_attention(CONFIDENCE, beta, attention_floor, normalize).flatten().tolist() == pytest.approx(
        expected
    )


def test_normalize_where_d_is_sure_of_all():
    assert difficulty_attention(torch.ones(1, 1, 2), beta=2, normalize=True).tolist() == [[[0, 0]]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, weighed(1, 0.25, 0.01, 0)),
        ({"beta": 1}, weighed(1, 0.5, 0.1, 0)),
        ({"beta": 0}, weighed(1, 1, 1, 1)),
        ({"beta": 1, "attention_floor": 1}, weighed(2, 1.5, 1.1, 1)),
        ({"beta": 1, "normalize": True}, weighed(2.5, 1.25, 0.25, 0)),
        ({"reduction": "sum"}, 4 * weighed(1, 0.25, 0.01, 0)),
        ({"lambda_ce": 3}, 3 * weighed(1, 0.25, 0.01, 0)),
    ],
)
def test_eq8_by_hand(options, expected):
    loss = DifficultyAwareHybridLoss(2, **{"lambda_dice": 0, **options})
    assert loss(LOGITS, LABELS, confidence=CONFIDENCE).item() == close(expected)


def with_running_dice(*values, **options):
    loss = DifficultyAwareHybridLoss(len(values), **options).eval()
    loss.dice.value.copy_(torch.tensor(values))
    return loss


# dsc = (0.5, 0.8). γ = 2: test_generalized_dice.py derives 1 - 15.82/22.53. γ = 1, a = (0.5, 0.2):
# 1 - 2 (0.5 * 23 + 0.2 * 54) / (0.5 * 57 + 0.2 * 207) = 1 - 44.6 / 69.9. γ = 0 is Eq. 1: 5/12.
# simple, γ = 1, sums times 30: 1 - 2 (0.5 * 23 + 0.2 * 18) / (0.5 * 57 + 0.2 * 69) = 1 - 30.2 / 42.3
@pytest.mark.parametrize(
    ("options", "dice"),
    [
        ({"gamma": 2}, 1 - 15.82 / 22.53),
        ({"gamma": 1}, 1 - 44.6 / 69.9),
        ({"gamma": 0}, 5 / 12),
        ({"gamma": 1, "w_type": "simple"}, 1 - 30.2 / 42.3),
        ({"gamma": 1, "include_background": False}, 11 / 23),
        ({"gamma": 2, "lambda_dice": 2}, 2 * (1 - 15.82 / 22.53)),
    ],
)
def test_eq10_by_hand(options, dice):
    loss = with_running_dice(0.5, 0.8, **options)
    assert loss(LOGITS, LABELS, confidence=CONFIDENCE).item() == close(dice + weighed(1, 0.25, 0.01, 0))


def test_target_and_input_options_reach_the_plain_loss():
    onehot = torch.cat([LABELS == 0, LABELS == 1], dim=1).float()
    expected = with_running_dice(0.5, 0.8)(LOGITS, LABELS, CONFIDENCE)
    torch.testing.assert_close(with_running_dice(0.5, 0.8, to_onehot_y=False)(LOGITS, onehot, CONFIDENCE), expected)
    torch.testing.assert_close(with_running_dice(0.5, 0.8, softmax=False)(LOGITS.exp(), LABELS, CONFIDENCE), expected)


def random_case(classes=3, size=(4, 4, 4)):
    torch.manual_seed(0)
    return torch.randn(2, classes, *size), torch.randint(0, classes, (2, 1, *size)), torch.rand(2, 1, *size)


@pytest.mark.parametrize(
    ("options", "sees"),
    [({"beta": 0, "gamma": 0}, True), ({"beta": 2, "gamma": 0}, False), ({"beta": 5, "gamma": 0}, False)],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_limit_is_the_hybrid_loss(options, sees, reduction):
    logits, labels, confidence = random_case()
    loss = DifficultyAwareHybridLoss(3, **options, reduction=reduction)
    loss.dice.value.copy_(torch.tensor([0.9, 0.2, 0.4]))
    expected = HybridLoss(reduction=reduction)([logits, logits[..., ::2]], labels)
    assert torch.equal(loss([logits, logits[..., ::2]], labels, confidence if sees else None), expected)


def test_first_batch_weighs_all_classes_alike():
    logits, labels, _ = random_case()
    torch.testing.assert_close(DifficultyAwareHybridLoss(3)(logits, labels), HybridLoss()(logits, labels))


def test_class_that_is_always_right_leaves_the_dice_term():
    logits, labels, _ = random_case()
    loss = with_running_dice(1.0, 1.0, 1.0, lambda_ce=0)
    assert loss(logits, labels).item() == 0


def test_attentions_at_every_scale():
    # nearest neighbour takes rows and columns 1 and 3 of 4x4
    torch.manual_seed(0)
    fine, coarse = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 2, 2)
    labels, confidence = torch.randint(0, 2, (1, 1, 4, 4)), torch.rand(1, 1, 4, 4)
    loss = with_running_dice(0.5, 0.8, deep_supervision_weights=(3, 1))
    expected = 0.75 * loss(fine, labels, confidence) + 0.25 * loss(
        coarse, labels[..., 1::2, 1::2], confidence[..., 1::2, 1::2]
    )
    torch.testing.assert_close(loss([fine, coarse], labels, confidence), expected)


def test_m_takes_no_gradient():
    logits, labels, confidence = random_case()
    logits.requires_grad_()
    confidence.requires_grad_()
    DifficultyAwareHybridLoss(3, normalize=True)(logits, labels, confidence).backward()
    assert logits.grad.abs().max() > 0
    assert confidence.grad is None
    assert not difficulty_attention(confidence, beta=2).requires_grad


def test_what_backward_keeps_is_the_softmax_and_its_logarithm():
    logits = torch.randn(2, 20, 8, 8, requires_grad=True)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = DifficultyAwareHybridLoss(num_classes=20)
        loss(logits, torch.randint(0, 20, (2, 1, 8, 8)), torch.rand(2, 1, 8, 8))
    large = [tensor for tensor in kept.values() if tensor.untyped_storage().nbytes() >= logits.nbytes]
    assert [tensor.shape for tensor in large] == [logits.shape] * 2
    low, high = sorted(large, key=lambda tensor: tensor.mean())
    torch.testing.assert_close(low, logits.detach().log_softmax(1))
    torch.testing.assert_close(high, logits.detach().softmax(1))


def test_gradcheck():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    labels, confidence = torch.randint(0, 3, (2, 1, 2, 3)), torch.rand(2, 1, 2, 3, dtype=torch.float64)
    loss = with_running_dice(0.5, 0.8, 0.1).double()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, confidence), (logits,))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_does_not_overflow(kind):
    logits, labels, confidence = random_case(2, (64, 64, 32))
    loss = with_running_dice(0.5, 0.8, reduction="sum")
    logits = logits.to(kind)
    torch.testing.assert_close(loss(logits, labels, confidence), loss(logits.float(), labels, confidence))


def test_monais_tensors():
    logits, labels, confidence = random_case()
    loss = with_running_dice(0.5, 0.8, 0.1)
    meta = loss(MetaTensor(logits), MetaTensor(labels), MetaTensor(confidence))
    assert torch.equal(meta, loss(logits, labels, confidence))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1}, r"beta must lie in \[0, 5\], got -1"),
        ({"beta": 6}, r"beta must lie in \[0, 5\], got 6"),
        ({"gamma": -1}, r"gamma must lie in \[0, 5\], got -1"),
        ({"gamma": 5.5}, r"gamma must lie in \[0, 5\], got 5.5"),
        ({"attention_floor": -0.1}, "attention_floor must be >= 0, got -0.1"),
        ({"momentum": 0}, r"momentum must lie in \(0, 1\], got 0"),
        ({"reduction": "none"}, "reduction must be 'mean' or 'sum', got 'none'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        DifficultyAwareHybridLoss(2, **options)


def test_another_number_of_classes():
    logits, labels, _ = random_case()
    with pytest.raises(ValueError, match="the loss was made for 2 classes, the input has 3"):
        DifficultyAwareHybridLoss(2)(logits, labels)


@pytest.mark.parametrize("shape", [(1, 1, 4, 4, 4), (2, 4, 4, 4), (2, 3, 4, 4, 4), (2, 1, 4, 4, 2)])
def test_confidence_of_another_shape(shape):
    logits, labels, _ = random_case()
    with pytest.raises(ValueError, match=r"confidence must have shape \(2, 1, 4, 4, 4\), one value a voxel, got \("):
        DifficultyAwareHybridLoss(3)(logits, labels, confidence=torch.rand(shape))


def test_labels_out_of_range_leave_the_running_dice_alone():
    logits, labels, _ = random_case()
    loss = DifficultyAwareHybridLoss(3)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.2 .* got 1\.\.3"):
        loss(logits, labels + 1)
    assert loss.dice.value.tolist() == [0, 0, 0]


def pull(**options):
    """How hard the Dice loss pulls at a false positive in the background, in a patch without that class."""
    logits = torch.zeros(1, 3, 2, 2, 2)
    logits[:, 0] = 3.0
    logits[:, 1, 1], logits[:, 0, 1] = 3.0, 0.0
    logits[0, 2, 0, 0, 0] = 3.0  # half of class 2, where the label says background
    labels = torch.zeros(1, 1, 2, 2, 2, dtype=torch.long)
    labels[:, :, 1] = 1
    logits.requires_grad_()
    with_running_dice(0.99, 0.9, 0.8, lambda_ce=0, **options)(logits, labels).backward()
    return logits.grad[0, 2, 0, 0, 0].item()


def test_organ_attention_silences_a_background_that_is_well_segmented():
    plain = pull(gamma=0)
    assert plain > 0
    assert pull(gamma=1) < 0.25 * plain
