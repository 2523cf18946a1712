"""The trainer against the step as one would write it down from the paper, without any of its savings."""

import pytest
import torch
from torch.nn import functional

from dam_components.losses import DifficultyAwareHybridLoss
from dam_components.networks import ConfidenceNet, EnhancedUNet

STEPS = 20
BETA, GAMMA, MOMENTUM, WEIGHTS = 2.0, 2.0, 0.05, (1.0, 0.5)


def make(batches):
    torch.manual_seed(0)
    S = EnhancedUNet(3, 1, 2, (4, 8, 8), (2, 2))
    D = ConfidenceNet(3, in_channels=3, num_classes=2, channels=(4, 8), strides=(2,))
    # biases in front of an instance norm have no gradient but rounding, which the usual eps=1e-8 blows up to full steps
    S_adam, D_adam = (torch.optim.Adam(network.parameters(), 1e-3, eps=1e-4) for network in (S, D))
    return S, D, S_adam, D_adam, batches(STEPS)


def eq10(scales, labels, M, running):
    """Eq. 7-9 with one-hot labels; a coarser scale sees labels and M by nearest neighbour."""
    loss = 0
    for logits, weight in zip(scales, WEIGHTS, strict=True):
        y = functional.interpolate(labels, size=logits.shape[2:], mode="nearest-exact")
        m = functional.interpolate(M, size=logits.shape[2:], mode="nearest-exact")
        onehot = torch.cat([1 - y, y], dim=1)
        p = logits.softmax(1)
        voxels = (2, 3, 4)
        pi = 1 / onehot.sum(voxels) ** 2 * (1 - running) ** GAMMA
        pi = pi / pi.sum(1, keepdim=True)
        above = 2 * (pi * (onehot * p).sum(voxels)).sum(1) + 1e-5
        below = (pi * (onehot + p).sum(voxels)).sum(1) + 1e-5
        dice = (1 - above / below).mean()
        cross_entropy = -((1 - m) ** BETA * (onehot * p.log()).sum(1, keepdim=True)).mean()
        loss = loss + weight * (dice + cross_entropy)
    return loss / sum(WEIGHTS)


def plain_steps(S, D, S_adam, D_adam, batches, lambda_adv):
    """S runs three times a step, D three times, and nothing is shared between Eq. 4, 6 and 10."""
    running = torch.zeros(2)
    for batch in batches:
        image, labels = batch["image"], batch["label"]
        with torch.no_grad():
            p = S(image)[0].softmax(1)
            M = D(torch.cat([p, image], dim=1)).sigmoid()  # of D before its step
            right = (p.argmax(1, keepdim=True) == labels).to(p.dtype)

        D_adam.zero_grad()
        judgement = D(torch.cat([p, image], dim=1)).sigmoid()
        functional.binary_cross_entropy(judgement, right).backward()  # Eq. 4
        D_adam.step()

        S_adam.zero_grad()
        loss = eq10(S(image), labels, M, running)
        if lambda_adv:
            fooled = D(torch.cat([S(image)[0].softmax(1), image], dim=1)).sigmoid()
            loss = loss + lambda_adv * functional.binary_cross_entropy(fooled, torch.ones_like(fooled))  # Eq. 6, 11
        loss.backward()
        S_adam.step()

        for c in range(2):
            chosen, true = p.argmax(1, keepdim=True) == c, labels == c
            dice = 2 * (chosen & true).sum() / (chosen.sum() + true.sum())
            running[c] = (1 - MOMENTUM) * running[c] + MOMENTUM * dice
    return loss.detach().item()


def relative_difference(a, b):
    """Of all parameters as one vector."""
    a, b = (torch.cat([p.detach().flatten() for p in network.parameters()]) for network in (a, b))
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("lambda_adv", [0, 0.005])
def test_twenty_steps_are_those_of_the_paper_written_plainly(build, batches, lambda_adv):
    S, D, S_adam, D_adam, data = make(batches)
    loss = plain_steps(S, D, S_adam, D_adam, data, lambda_adv)
    S_fast, D_fast, S_fast_adam, D_fast_adam, data = make(batches)
    moved = relative_difference(S_fast, S), relative_difference(D_fast, D)
    trainer = build(
        network=S_fast,
        confidence_network=D_fast,
        optimizer=S_fast_adam,
        confidence_optimizer=D_fast_adam,
        train_data_loader=data,
        loss_function=DifficultyAwareHybridLoss(2, BETA, GAMMA, momentum=MOMENTUM, deep_supervision_weights=WEIGHTS),
        lambda_adv=lambda_adv,
    )
    trainer.run()
    assert trainer.state.iteration == STEPS
    assert trainer.state.output["loss"].item() == pytest.approx(loss, rel=1e-5)
    assert relative_difference(S_fast, S) < 1e-5 < 1e-2 < moved[0]
    assert relative_difference(D_fast, D) < 1e-5 < 1e-2 < moved[1]
