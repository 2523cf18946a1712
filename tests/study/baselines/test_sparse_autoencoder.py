"""The auto-encoder learns: reconstruction, sparsity, classes."""

import math

import pytest
import torch
from torch.nn.functional import mse_loss

from dam_study.baselines import StackedSparseAutoencoder, sparsity_penalty


@pytest.fixture(scope="module")
def patches():
    """Mixtures of 4 patterns of 20 values; the class is the sign of the first coefficient."""
    draw = torch.Generator().manual_seed(0)
    coefficients = torch.randn(400, 4, generator=draw)
    return coefficients @ torch.randn(4, 20, generator=draw) / 2, (coefficients[:, 0] > 0).long()


def build(**options):
    return StackedSparseAutoencoder(20, **{"hidden": (16, 10), "num_classes": 2, **options})


def trained(patches, epochs=30, learning_rate=0.01, **options):
    encoder = build(**options)
    encoder.pretrain(patches[0], epochs, batch_size=50, learning_rate=learning_rate)
    return encoder


def activity(encoder, patches):
    with torch.no_grad():
        return float(encoder.encoders[0](patches[0]).mean())


def test_penalty_by_hand():
    """Means over the batch 0.5 and 0.1, target 0.1: KL(0.1||0.5) = 0.1 ln 0.2 + 0.9 ln 1.8, and 0; their mean."""
    units = torch.tensor([[0.2, 0.1], [0.8, 0.1]], dtype=torch.float64)
    expected = (0.1 * math.log(0.2) + 0.9 * math.log(1.8)) / 2
    assert sparsity_penalty(units, 0.1).item() == pytest.approx(expected, rel=1e-6)
    assert torch.autograd.gradcheck(lambda x: sparsity_penalty(x, 0.1), units.clone().requires_grad_())
    assert torch.isfinite(sparsity_penalty(torch.tensor([[0.0, 1.0]]), 0.1))


def reconstructed(network, patches):
    """The patches through all layers and back."""
    values = network(patches)
    for number, decoder in reversed([*enumerate(network.decoders)]):
        values = decoder(values).clamp(0, 1) if number else decoder(values)
    return values


def test_training_reconstructs_better(patches):
    with torch.no_grad():
        before, after = (mse_loss(reconstructed(e, patches[0]), patches[0]) for e in (build(), trained(patches)))
    assert after < 0.5 * before


def test_sparsity_falls_toward_its_target(patches):
    start = activity(build(), patches)
    for target in (0.1, 0.3):
        mean = activity(trained(patches, 15, 0.03, hidden=(16,), sparsity=target, sparsity_weight=5.0), patches)
        assert abs(mean - target) < 0.07 < abs(start - target)
    assert (
        activity(trained(patches, 15, 0.03, hidden=(16,), sparsity_weight=0.0), patches) > 0.3
    )  # nothing pulls it down


def test_labels_refine_the_features(patches):
    encoder = trained(patches, 2)
    before = [p.clone() for p in encoder.encoders.parameters()]
    encoder.refine(*patches, epochs=15, batch_size=50, learning_rate=0.01)
    with torch.no_grad():
        right = (encoder.classifier(encoder(patches[0])).argmax(1) == patches[1]).float().mean()
    assert right > 0.9
    assert all(not torch.equal(a, b) for a, b in zip(before, encoder.encoders.parameters(), strict=True))


def test_seeds(patches):
    state = torch.random.get_rng_state()
    one, other, third = (trained(patches, 1, seed=seed)(patches[0]) for seed in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ()}, r"hidden must name the units of each layer, got \[\]"),
        ({"hidden": (4, 0)}, r"hidden must name the units of each layer, got \[4, 0\]"),
        ({"sparsity": 1.0}, "sparsity must lie between 0 and 1, got 1.0"),
        ({"sparsity_weight": -1.0}, "sparsity_weight must not be negative, got -1.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
