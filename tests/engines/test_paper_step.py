"""One step of Eq. 4-11 as printed, written out by hand, against the trainer: D is told real or fake, sums, Adam."""

import copy
import math

import pytest
import torch
from torch.nn import functional

from dam_components.engines import ConfidenceTrainer
from dam_components.losses import AdversarialLoss, ConfidenceLoss, DifficultyAwareHybridLoss
from dam_components.networks import ConfidenceNet, EnhancedUNet

CLASSES, GAMMA, BETA, LAMBDA_1, RATE, DECAY = 3, 2, 2, 0.005, 5e-3, 1e-4
SCALES = (1.0, 0.5, 0.25)  # of the deep supervision; the paper names three scales and no weights


def make():
    torch.manual_seed(0)
    S = EnhancedUNet(3, 1, CLASSES, channels=(2, 4, 4, 4), strides=(2, 2, 2)).double()
    D = ConfidenceNet(3, CLASSES + 1, CLASSES, channels=(2, 4, 4), strides=(2, 2), literal=True).double()
    image = torch.randn(2, 1, 16, 16, 16, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (2, 1, 16, 16, 16))
    return S, D, image, labels


def binary_cross_entropy(predicted, target):
    """Eq. 5, on probabilities."""
    return -(target * predicted.log() + (1 - target) * (1 - predicted).log()).sum()


def hand_step(S, D, image, labels, running_dice):
    """The losses of an iteration, and the parameters after it."""
    adam = [torch.optim.Adam(network.parameters(), RATE, weight_decay=DECAY) for network in (S, D)]
    one_hot = functional.one_hot(labels[:, 0], CLASSES).movedim(-1, 1).double()
    scales = S(image)
    p = scales[0].softmax(1)

    # Eq. 4: D is told 1 for labels and 0 for S's output
    on_labels = torch.sigmoid(D(torch.cat([one_hot, image], 1)))
    on_output = torch.sigmoid(D(torch.cat([p.detach(), image], 1)))
    loss_d = binary_cross_entropy(on_labels, torch.ones_like(on_labels))
    loss_d = loss_d + binary_cross_entropy(on_output, torch.zeros_like(on_output))
    adam[1].zero_grad()
    loss_d.backward()
    adam[1].step()

    # Eq. 7, 8, 9 and 10, at three scales
    attention = (1 - on_output.detach()) ** BETA
    loss_s = 0
    for weight, logits in zip(SCALES, scales, strict=True):
        step = labels.shape[-1] // logits.shape[-1]
        nearest = [slice(step // 2, None, step)] * 3
        truth, f = one_hot[(..., *nearest)], attention[(..., *nearest)]
        q = logits.softmax(1)
        pi = 1 / truth.sum((2, 3, 4)) ** 2
        a = (1 - running_dice) ** GAMMA
        overlap, size = (truth * q).sum((2, 3, 4)), (truth + q).sum((2, 3, 4))
        dice = 1 - 2 * (pi * a * overlap).sum(1) / (pi * a * size).sum(1)
        cross_entropy = -(f * truth * q.log()).sum()
        loss_s = loss_s + weight / sum(SCALES) * (dice.sum() + cross_entropy)
    # Eq. 6 and 11, through the D of after its step
    fooled = torch.sigmoid(D(torch.cat([p, image], 1)))
    total = loss_s + LAMBDA_1 * binary_cross_entropy(fooled, torch.ones_like(fooled))
    adam[0].zero_grad()
    total.backward()
    adam[0].step()
    return float(loss_d), float(loss_s), float(total)


@pytest.fixture(scope="module")
def both():
    S, D, image, labels = make()
    running_dice = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)
    loss = DifficultyAwareHybridLoss(CLASSES, BETA, GAMMA, reduction="sum").double()
    loss.dice.value.copy_(running_dice)
    mine, theirs = (copy.deepcopy((S, D)) for _ in range(2))
    by_hand = hand_step(*mine, image, labels, running_dice)
    trainer = ConfidenceTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": image, "label": labels}],
        network=theirs[0],
        optimizer=torch.optim.Adam(theirs[0].parameters(), RATE, weight_decay=DECAY),
        loss_function=loss,
        confidence_network=theirs[1],
        confidence_optimizer=torch.optim.Adam(theirs[1].parameters(), RATE, weight_decay=DECAY),
        confidence_loss=ConfidenceLoss("adversarial", reduction="sum"),
        adversarial_loss=AdversarialLoss("sum"),
        lambda_adv=LAMBDA_1,
    )
    trainer.run()
    return (S, D), mine, theirs, by_hand, trainer.state.output[0]


def test_the_losses_are_those_of_the_paper(both):
    *_, (loss_d, loss_s, total), output = both
    assert math.isclose(float(output["confidence_loss"]), loss_d, rel_tol=1e-5)
    assert math.isclose(float(output["segmentation_loss"]), loss_s, rel_tol=1e-5)
    assert math.isclose(float(output["loss"]), total, rel_tol=1e-5)


@pytest.mark.parametrize("network", [0, 1], ids=["S", "D"])
def test_the_networks_are_equal_after_the_step(both, network):
    before, mine, theirs = (networks[network] for networks in both[:3])
    changed = []
    for (name, old), a, b in zip(before.named_parameters(), mine.parameters(), theirs.parameters(), strict=True):
        if name.endswith("conv.bias") and not name.startswith("head"):
            continue  # in front of a normalisation a bias has no effect, and its gradient is rounding alone
        changed.append(not torch.equal(a, old))
        gap = (a - b).abs()
        # Adam's first step is the sign of the gradient: where that is next to nothing, its sign is that of rounding
        assert (gap > 1e-4 * RATE).double().mean() < 0.02, name
    assert sum(changed) > 0.8 * len(changed)
