"""A ConfidenceTrainer small enough to run in milliseconds, every part of which a test can replace."""

import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

from dam_components.engines import ConfidenceTrainer
from dam_components.losses import AdversarialLoss, ConfidenceLoss, DifficultyAwareHybridLoss
from dam_components.networks import ConfidenceNet

BATCH_NORM = ("BATCH", {"momentum": 0.3})  # has buffers, so that a change of them can be seen


def make_batches(count, dims=3, size=8):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 2, 1, *[size] * dims, generator=generator)
    return [{"image": image, "label": (image + 0.3 > 0).float()} for image in images]


def make_networks(dims=3):
    torch.manual_seed(0)
    S = UNet(dims, 1, 2, (4, 8), (2,), norm=BATCH_NORM)
    D = ConfidenceNet(dims, in_channels=3, num_classes=2, channels=(4, 8), strides=(2,), norm=BATCH_NORM)
    return S, D


def make_trainer(dims=3, batches=3, kind=ConfidenceTrainer, **changes):
    S, D = make_networks(dims)
    S, D = changes.get("network", S), changes.get("confidence_network", D)
    torch.manual_seed(0)
    parts = {
        "device": "cpu",
        "max_epochs": 1,
        "train_data_loader": make_batches(batches, dims),
        "network": S,
        "optimizer": torch.optim.Adam(S.parameters(), 1e-3),
        "loss_function": DifficultyAwareHybridLoss(2),
        "confidence_network": D,
        "confidence_optimizer": torch.optim.Adam(D.parameters(), 1e-3),
        "confidence_loss": ConfidenceLoss(),
        "adversarial_loss": AdversarialLoss(),
        "decollate": False,
    }
    return kind(**{**parts, **changes})


class Recorder(nn.Module):
    """Eq. 10 that notes what it was called with."""

    def __init__(self):
        super().__init__()
        self.loss = DifficultyAwareHybridLoss(2)
        self.calls = []

    def forward(self, input, target, confidence=None):
        self.calls.append((input, confidence))
        return self.loss(input, target, confidence)


@pytest.fixture
def batches():
    """``batches(count, dims=3, size=8)``: a list of batches of two, the label a threshold of the image."""
    return make_batches


@pytest.fixture
def networks():
    """``networks(dims=3)``: S and D, the same at every call."""
    return make_networks


@pytest.fixture
def build():
    """``build(dims=3, batches=3, kind=ConfidenceTrainer, **its arguments)``: the same trainer at every call."""
    return make_trainer


@pytest.fixture
def state():
    """``state(module)``: copies of its parameters and buffers, to be compared later with ``same``."""
    return lambda module: {name: value.clone() for name, value in module.state_dict().items()}


@pytest.fixture
def same():
    """``same(a, b)``: the two states are equal bit for bit."""
    return lambda a, b: a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def recorder():
    """Eq. 10 that notes what it was called with in ``calls``: (logits, confidence) each."""
    return Recorder()


@pytest.fixture
def keys():
    """The keys of the trainer's output."""
    return {"image", "label", "pred", "loss", "confidence", "confidence_loss", "segmentation_loss", "adversarial_loss"}
