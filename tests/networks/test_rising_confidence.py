"""D with a rising curve as its last layer, and the file that holds it."""

import numpy as np
import pytest
import torch

from dam_components.metrics import fit_rising_curve, rising_curve
from dam_components.networks import (
    LocalCalibrationNet,
    RisingConfidence,
    identify,
    identity_in,
    load_weights,
    put_curve,
    put_identity,
    read_weights,
)


def network():
    return LocalCalibrationNet(3, in_channels=4, num_classes=3, channels=(4, 8), strides=(2, 2))


def seen():
    torch.manual_seed(0)
    return torch.cat([(3 * torch.randn(1, 3, 9, 8, 8)).softmax(1), torch.rand(1, 1, 9, 8, 8)], 1)


@pytest.fixture
def curve():
    draw = np.random.default_rng(0)
    says = draw.uniform(0.3, 1, 50_000)
    return fit_rising_curve(says, draw.uniform(size=50_000) < says**3)


def saved(tmp_path, label_names=None):
    D, path = RisingConfidence(network()), tmp_path / "D.pt"
    state = D.state_dict()
    put_identity(state, identify(D, label_names))
    torch.save(state, path)
    return D, path


def test_a_new_one_leaves_the_map_as_it_is():
    D, x = RisingConfidence(network()), seen()
    torch.testing.assert_close(D(x), D.network(x), rtol=1e-5, atol=1e-5)
    D(x).sum().backward()
    once = [p.grad.clone() for p in D.network.parameters() if p.grad is not None]
    D.zero_grad()
    D.network(x).sum().backward()
    for one, other in zip(once, (p.grad for p in D.network.parameters() if p.grad is not None), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_its_curve_is_that_of_the_metrics(curve):
    D, x = RisingConfidence(network()), seen()
    before = D(x).sigmoid().detach().numpy()
    D.curve.copy_(torch.as_tensor(curve))
    after = D(x).sigmoid().detach().numpy()
    np.testing.assert_allclose(after, rising_curve(curve, before), atol=1e-5)
    assert np.abs(after - before).max() > 0.1
    far = torch.tensor([-30.0, 30.0, -16.0, 16.0])
    assert (D.raise_logits(far).diff()[[0]] > 50).all()
    assert torch.isfinite(D.raise_logits(far)).all()


def test_a_curve_goes_into_the_file_of_the_weights(tmp_path, curve):
    D, path = saved(tmp_path, {1: "organ", 2: "tumour"})
    put_curve(path, curve)
    state = read_weights(path)
    assert identity_in(state)["label_names"] == {"1": "organ", "2": "tumour"}
    for name, value in D.state_dict().items():
        assert torch.equal(state[name], value) == (name != "curve")
    loaded = load_weights(RisingConfidence(network()), path, {1: "organ", 2: "tumour"})
    torch.testing.assert_close(loaded.curve, torch.as_tensor(curve))
    with pytest.raises(ValueError, match="was trained for the classes"):
        load_weights(RisingConfidence(network()), path, {1: "organ", 2: "cyst"})


def test_a_file_without_a_curve_and_a_curve_of_another_length(tmp_path, curve):
    plain = tmp_path / "plain.pt"
    torch.save(network().state_dict(), plain)
    with pytest.raises(ValueError, match=r"must hold a curve of shape \(2, 64\), it has none"):
        put_curve(plain, curve)
    _, path = saved(tmp_path)
    with pytest.raises(ValueError, match=r"shape \(2, 10\), it has \(2, 64\)"):
        put_curve(path, curve[:, :10])
    with pytest.raises(ValueError, match="at least 2"):
        RisingConfidence(network(), knots=1)
