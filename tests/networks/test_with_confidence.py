"""S and D in one module."""

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet

from dam_components.networks import ConfidenceNet, EnhancedUNet, SegmentationWithConfidence


@pytest.fixture
def parts():
    torch.manual_seed(0)
    S = EnhancedUNet(3, 1, 3, (4, 8), (2,))
    D = ConfidenceNet(3, in_channels=4, num_classes=3, channels=(4, 8), strides=(2,), residual=False)
    return S.eval(), D.eval()


@pytest.fixture
def x():
    return torch.rand(2, 1, 8, 7, 6)


def test_channels_are_probabilities_and_m(parts, x):
    S, D = parts
    both = SegmentationWithConfidence(S, D).eval()(x)
    p = S(x).softmax(1)
    torch.testing.assert_close(both, torch.cat([p, D(torch.cat([p, x], 1)).sigmoid()], 1))


def test_logits_are_left_as_they_are(parts, x):
    plain, logits = (SegmentationWithConfidence(*parts, logits=given).eval()(x) for given in (False, True))
    torch.testing.assert_close(logits[:, :3].softmax(1), plain[:, :3])
    torch.testing.assert_close(logits[:, 3:].sigmoid(), plain[:, 3:])
    assert not torch.allclose(logits, plain)


def test_the_finest_of_several_scales_counts(parts, x):
    S, D = parts
    S.train()
    both = SegmentationWithConfidence(S, D)(x)
    torch.testing.assert_close(both[:, :3], S(x)[0].softmax(1))


@pytest.mark.parametrize("deep", [True, False])
def test_torchscript_agrees(parts, x, deep):
    S = parts[0] if deep else UNet(3, 1, 3, (4, 8), (2,)).eval()  # one gives a list or a tensor, the other a tensor
    both = SegmentationWithConfidence(S, parts[1]).eval()
    x = x[..., :6, :] if not deep else x
    torch.testing.assert_close(torch.jit.script(both)(x), both(x))


def test_a_sliding_window_takes_it(parts):
    both = SegmentationWithConfidence(*parts).eval()
    with torch.no_grad():
        out = SlidingWindowInferer((8, 8, 8), mode="gaussian")(torch.rand(1, 1, 12, 9, 8), both)
    assert out.shape == (1, 4, 12, 9, 8)
    torch.testing.assert_close(out[:, :3].sum(1), torch.ones(1, 12, 9, 8))


def test_a_state_of_s_alone_leaves_d(parts):
    S, D = parts
    other = EnhancedUNet(3, 1, 3, (4, 8), (2,))
    both = SegmentationWithConfidence(S, D)
    before = [value.clone() for value in D.state_dict().values()]
    both.load_state_dict(other.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(S.state_dict().values(), other.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(D.state_dict().values(), before, strict=True))
    with pytest.raises(RuntimeError, match="Missing key"):
        both.load_state_dict(dict(list(other.state_dict().items())[1:]))


def test_its_own_state_comes_back(parts, x):
    both = SegmentationWithConfidence(*parts).eval()
    copy = SegmentationWithConfidence(
        EnhancedUNet(3, 1, 3, (4, 8), (2,)),
        ConfidenceNet(3, in_channels=4, num_classes=3, channels=(4, 8), strides=(2,), residual=False),
    ).eval()
    copy.load_state_dict(both.state_dict())
    assert torch.equal(copy(x), both(x))
