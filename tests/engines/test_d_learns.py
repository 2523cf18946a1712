"""D learns where S is wrong: alone, in the trainer, and with S held fixed."""

import pytest
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from torch import nn

from dam_components.engines import ConfidenceEvents, ConfidenceKeys, ConfidenceTrainer
from dam_components.losses import ConfidenceLoss, DifficultyAwareHybridLoss
from dam_components.networks import ConfidenceNet


class Fixed(nn.Module):
    """An S that has made up its mind: the same logits whatever the image and the training."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", logits)
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.logits + 0 * self.unused


def blurred_pair():
    """A ball, and blurred predictions of it that are 3 voxels off and too sure: image, labels and P̂ of a 16^3 case."""
    axis = torch.arange(16.0)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    radius = ((x - 7) ** 2 + (y - 8) ** 2 + (z - 8) ** 2).sqrt()
    shifted = ((x - 7 - 3) ** 2 + (y - 8) ** 2 + (z - 8) ** 2).sqrt()
    labels = (radius < 6).long()[None, None]
    foreground = torch.sigmoid(3 * (6 - shifted))[None, None]
    torch.manual_seed(0)
    image = labels + 0.2 * torch.randn(labels.shape)
    return image, labels, torch.cat([1 - foreground, foreground], dim=1)


def confidence_net(residual=True):
    torch.manual_seed(0)
    return ConfidenceNet(3, in_channels=3, num_classes=2, channels=(8, 16), strides=(2,), residual=residual)


def test_pair_is_one_on_which_d_has_to_learn_something():
    _, labels, probabilities = blurred_pair()
    wrong = (probabilities.argmax(1, keepdim=True) != labels).float().mean().item()
    assert 0.1 < wrong < 0.25
    # the best M that knows nothing but this rate has its entropy as BCE; S's own confidence does worse
    best_constant = ConfidenceLoss()(torch.full_like(probabilities[:, :1], 1 - wrong).logit(), probabilities, labels)
    own = ConfidenceLoss()(probabilities.amax(1, keepdim=True).logit(eps=1e-6), probabilities, labels)
    assert own.item() > best_constant.item() > 0.4


@pytest.mark.parametrize(
    ("target", "residual"), [("correctness", True), ("correctness", False), ("adversarial", False)]
)
def test_d_learns(target, residual):
    image, labels, probabilities = blurred_pair()
    onehot = torch.cat([labels == 0, labels == 1], dim=1).float()
    D, loss = confidence_net(residual), ConfidenceLoss(target)
    optimizer = torch.optim.Adam(D.parameters(), 2e-2)
    for _ in range(200):
        on_labels = (D(torch.cat([onehot, image], dim=1)),) if loss.label_weight else ()
        value = loss(D(torch.cat([probabilities, image], dim=1)), probabilities, labels, *on_labels)
        terms = 2 if target == "adversarial" else 1  # real and fake: 2 log 2 for a D that cannot tell them apart
        if value / terms < 0.25:
            break
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value / terms < 0.3


def test_d_learns_in_the_trainer():
    image, labels, probabilities = blurred_pair()
    S, D, losses = Fixed(probabilities.log()), confidence_net(), []
    trainer = ConfidenceTrainer(
        "cpu",
        1,
        [{"image": image, "label": labels}] * 200,
        S,
        torch.optim.SGD(S.parameters(), 0.1),
        DifficultyAwareHybridLoss(2),
        D,
        torch.optim.Adam(D.parameters(), 5e-3),
        ConfidenceLoss("correctness"),
        lambda_adv=0,
        decollate=False,
    )

    def note():
        losses.append(trainer.state.output[ConfidenceKeys.CONFIDENCE_LOSS].item())
        if losses[-1] < 0.25:
            trainer.terminate()

    trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
    trainer.run()
    assert losses[0] > 0.4
    assert losses[-1] < 0.3
    confidence = trainer.state.output[ConfidenceKeys.CONFIDENCE]
    right = probabilities.argmax(1, keepdim=True) == labels
    assert confidence[right].mean() > confidence[~right].mean() + 0.3


@pytest.mark.parametrize("amp", [False, True])
def test_without_an_optimizer_s_stays_as_it_is_and_d_learns(build, state, same, amp, keys):
    trainer, modes, events = build(optimizer=None, amp=amp, lambda_adv=0.5), [], []
    trainer.network.register_forward_hook(lambda module, *_: modes.append(module.training))
    for event in [*IterationEvents, *ConfidenceEvents]:
        trainer.add_event_handler(event, lambda engine, event=event: events.append(event))
    S, D = state(trainer.network), state(trainer.confidence_network)
    trainer.run()
    assert same(state(trainer.network), S)  # buffers too: it runs as in evaluation
    assert not same(state(trainer.confidence_network), D)
    assert modes == [False] * 3
    assert not trainer.state.output["pred"].requires_grad  # no graph is kept of what is not trained
    assert events == 3 * [
        IterationEvents.FORWARD_COMPLETED,
        ConfidenceEvents.CONFIDENCE_COMPLETED,
        IterationEvents.LOSS_COMPLETED,
        IterationEvents.MODEL_COMPLETED,
    ]
    assert set(trainer.state.output) == keys
    assert [trainer.state.output[key].item() for key in ("loss", "segmentation_loss", "adversarial_loss")] == [0, 0, 0]
    assert trainer.loss_function.dice.value.tolist() == [0, 0]
