"""Eq. 4-6 against values worked out by hand, and every option of D's loss.

The example: two voxels, both of class 0; P̂ of class 0 is 0.9 (right) and 0.4 (wrong). D's logits are log 3 and -log 4,
that is, confidences 3/4 and 1/5; on the true labels they are log 9 and 0, that is, 9/10 and 1/2.
"""

from math import log

import pytest
import torch
from monai.data import MetaTensor
from torch.nn import functional

from dam_components.losses import AdversarialLoss, ConfidenceLoss, adversarial_loss
from dam_components.losses.confidence import confidence_target, near_structure

LABELS = torch.zeros(1, 1, 2, 1, dtype=torch.long)
PROBABILITIES = torch.tensor([[0.9, 0.4], [0.1, 0.6]], dtype=torch.float64).view(1, 2, 2, 1)
LOGITS = torch.tensor([log(3), -log(4)], dtype=torch.float64).view(1, 1, 2, 1)
ON_LABELS = torch.tensor([log(9), 0], dtype=torch.float64).view(1, 1, 2, 1)

# Eq. 5 by target. correctness: Q = 1 0; adversarial: Q = 0 0; probability: Q = 0.9 0.4
CORRECTNESS = -log(3 / 4) - log(4 / 5)
ADVERSARIAL = -log(1 / 4) - log(4 / 5)
PROBABILITY = -0.9 * log(3 / 4) - 0.1 * log(1 / 4) - 0.4 * log(1 / 5) - 0.6 * log(4 / 5)
REAL = -log(9 / 10) - log(1 / 2)  # the first term of Eq. 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, CORRECTNESS / 2),
        ({"target": "correctness", "reduction": "sum"}, CORRECTNESS),
        ({"target": "probability"}, PROBABILITY / 2),
        ({"target": "adversarial"}, (ADVERSARIAL + REAL) / 2),
        ({"target": "adversarial", "reduction": "sum"}, ADVERSARIAL + REAL),  # Eq. 4 as printed
        ({"target": "adversarial", "label_weight": 0}, ADVERSARIAL / 2),
        ({"target": "correctness", "label_weight": 0.5}, (CORRECTNESS + 0.5 * REAL) / 2),
        ({"target": "probability", "label_weight": 2, "reduction": "sum"}, PROBABILITY + 2 * REAL),
    ],
)
def test_eq4_by_hand(options, expected):
    assert ConfidenceLoss(**options)(LOGITS, PROBABILITIES, LABELS, ON_LABELS).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("target", "expected"), [("adversarial", [0, 0]), ("correctness", [1, 0]), ("probability", [0.9, 0.4])]
)
def test_what_d_is_told(target, expected):
    assert confidence_target(PROBABILITIES, LABELS, target).flatten().tolist() == pytest.approx(expected)


def test_unknown_target():
    message = r"target must be one of \['adversarial', 'correctness', 'probability'\], got 'truth'"
    with pytest.raises(ValueError, match=message):
        confidence_target(PROBABILITIES, LABELS, "truth")
    with pytest.raises(ValueError, match=message):
        ConfidenceLoss(target="truth")


def test_bce_is_least_where_m_is_the_frequency_of_being_right():
    # ten voxels alike, seven of them right: the best single confidence is 0.7, at which BCE is its entropy
    labels = torch.tensor([0] * 7 + [1] * 3).view(1, 1, 10, 1)
    probabilities = torch.tensor([0.8, 0.2]).view(1, 2, 1, 1).expand(1, 2, 10, 1)
    best, less, more = (
        ConfidenceLoss()(torch.full((1, 1, 10, 1), m).logit(), probabilities, labels).item() for m in (0.7, 0.69, 0.71)
    )
    assert best == pytest.approx(-0.7 * log(0.7) - 0.3 * log(0.3), abs=1e-6)
    assert best < min(less, more)


# the band. One voxel of foreground in the middle of 5x5: within 1 step lie 9 voxels, within 2 all 25.
# D gives confidence 1/2 to these 9 (loss log 2 whatever Q) and 3/4 to the other 16, which are right (loss log 4/3).
def band_case(dims=2):
    labels = torch.zeros(1, 1, *[5] * dims, dtype=torch.long)
    logits = torch.full((1, 1, *[5] * dims), log(3))
    labels[(0, 0, *[2] * dims)] = 1
    logits[(0, 0, *[slice(1, 4)] * dims)] = 0
    foreground = 0.9 * labels + 0.05  # S is right everywhere
    return logits, torch.cat([1 - foreground, foreground], dim=1), labels


INSIDE, OUTSIDE = log(2), log(4 / 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"band": None}, (9 * INSIDE + 16 * OUTSIDE) / 25),
        ({"band": 1}, (9 * INSIDE + 1.6 * OUTSIDE) / 10.6),
        ({"band": 1, "outside_weight": 0}, INSIDE),
        ({"band": 1, "outside_weight": 1}, (9 * INSIDE + 16 * OUTSIDE) / 25),
        ({"band": 1, "outside_weight": 0.5, "reduction": "sum"}, 9 * INSIDE + 8 * OUTSIDE),
        ({"band": 2, "outside_weight": 0}, (9 * INSIDE + 16 * OUTSIDE) / 25),
    ],
)
def test_band_by_hand(options, expected):
    assert ConfidenceLoss(**options)(*band_case()).item() == pytest.approx(expected)


def test_band_weighs_the_term_on_labels_too():
    logits, probabilities, labels = band_case()
    loss = ConfidenceLoss(band=1, outside_weight=0, label_weight=1)
    # on the labels D says 1/2 to the 9 voxels of the band
    assert loss(logits, probabilities, labels, logits).item() == pytest.approx(2 * INSIDE)


@pytest.mark.parametrize(("dims", "near"), [(2, 9), (3, 27)])
def test_band_surrounds_labels_and_predictions(dims, near):
    _, probabilities, labels = band_case(dims)
    nothing = torch.zeros_like(labels)
    background = torch.cat([torch.ones_like(labels), nothing], dim=1).float()
    assert near_structure(background, labels, band=1).sum() == near  # missed
    assert near_structure(probabilities, nothing, band=1).sum() == near  # made up
    assert near_structure(background, nothing, band=1).sum() == 0


def test_no_structure_in_the_band_is_no_loss_and_no_nan():
    logits = torch.randn(1, 1, 5, 5, requires_grad=True)
    background = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 5, 5)
    loss = ConfidenceLoss(band=1, outside_weight=0)(logits, background, torch.zeros(1, 1, 5, 5))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


def test_nothing_reaches_s_through_ds_loss():
    logits, probabilities = LOGITS.clone().requires_grad_(), PROBABILITIES.clone().requires_grad_()
    ConfidenceLoss("probability", label_weight=1)(logits, probabilities, LABELS, ON_LABELS).backward()
    assert logits.grad.abs().min() > 0
    assert probabilities.grad is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_weight": -1}, "label_weight and outside_weight must be >= 0, got -1 and 0.1"),
        ({"outside_weight": -1}, "label_weight and outside_weight must be >= 0, got 0.0 and -1"),
        ({"band": 0}, "band must be None or at least 1 voxel, got 0"),
        ({"reduction": "none"}, "reduction must be 'mean' or 'sum', got 'none'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ConfidenceLoss(**options)


def test_missing_logits_on_the_labels():
    with pytest.raises(
        ValueError, match=r"label_weight > 0 requires D's logits on the labels \(label_logits\), got None"
    ):
        ConfidenceLoss("adversarial")(LOGITS, PROBABILITIES, LABELS)


@pytest.mark.parametrize("target", ["correctness", "probability", "adversarial"])
def test_labels_out_of_range(target):
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1 \(the network gives 2 classes\), got 2\.\.2$"):
        ConfidenceLoss(target, label_weight=0)(LOGITS, PROBABILITIES, LABELS + 2)


def test_labels_of_any_type_and_monais_tensors():
    expected = ConfidenceLoss(band=1)(LOGITS, PROBABILITIES, LABELS)
    assert torch.equal(ConfidenceLoss(band=1)(LOGITS, PROBABILITIES, LABELS.float()), expected)
    meta = ConfidenceLoss(band=1)(MetaTensor(LOGITS), MetaTensor(PROBABILITIES), MetaTensor(LABELS))
    assert torch.equal(meta, expected)


def test_eq6_by_hand():
    # confidences 3/4 and 1/5
    total = -log(3 / 4) - log(1 / 5)
    assert AdversarialLoss()(LOGITS).item() == pytest.approx(total / 2)
    assert AdversarialLoss(reduction="sum")(LOGITS).item() == pytest.approx(total)
    assert adversarial_loss(LOGITS).item() == pytest.approx(total / 2)
    assert adversarial_loss(torch.full((1, 1, 2), 1000.0)).item() == 0  # D sure that all is right
    assert adversarial_loss(torch.full((1, 1, 2), -1000.0)).item() == 1000  # and sure that nothing is: still finite


@pytest.mark.parametrize("loss", [lambda: AdversarialLoss("none"), lambda: adversarial_loss(LOGITS, "none")])
def test_eq6_with_another_reduction(loss):
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum', got 'none'"):
        loss()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_half_precision_does_not_overflow(kind, reduction):
    torch.manual_seed(0)
    logits = (10 * torch.randn(1, 1, 64, 64, 32)).to(kind)
    probabilities, labels = torch.rand(1, 2, 64, 64, 32).softmax(1), torch.randint(0, 2, (1, 1, 64, 64, 32))
    d_loss = ConfidenceLoss("adversarial", band=1, reduction=reduction)
    torch.testing.assert_close(
        d_loss(logits, probabilities, labels, logits), d_loss(logits.float(), probabilities, labels, logits.float())
    )
    torch.testing.assert_close(adversarial_loss(logits, reduction), adversarial_loss(logits.float(), reduction))


@pytest.mark.parametrize("target", ["correctness", "probability", "adversarial"])
def test_gradcheck(target):
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    on_labels = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    probabilities, labels = torch.randn(2, 3, 3, 3, dtype=torch.float64).softmax(1), torch.randint(0, 3, (2, 1, 3, 3))
    loss = ConfidenceLoss(target, label_weight=0.5, band=1)
    assert torch.autograd.gradcheck(lambda a, b: loss(a, probabilities, labels, b), (logits, on_labels))
    assert torch.autograd.gradcheck(adversarial_loss, (logits,))


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 5)])
@pytest.mark.parametrize("band", [1, 3])
def test_near_structure_is_a_pooling_of_the_whole_cube(shape, band):
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 1, *shape, generator=generator) > 0.97).long()
    probabilities = torch.rand(2, 3, *shape, generator=generator) + torch.tensor([1.0, 0, 0]).view(
        -1, *[1] * len(shape)
    )
    probabilities[:, 0, 0] = 0  # one edge is called
    foreground = ((labels > 0) | (probabilities.argmax(1, keepdim=True) > 0)).float()
    pool = functional.max_pool2d if len(shape) == 2 else functional.max_pool3d
    expected = pool(foreground, 2 * band + 1, stride=1, padding=band) > 0
    assert 0 < expected.sum() < expected.numel()
    assert torch.equal(near_structure(probabilities, labels, band), expected)
