from copy import deepcopy

import pytest
import torch
from torch import nn

from dam_components.networks import EnhancedUNet
from dam_components.networks.cpu_layers import FASTER, channels_last, use_cpu_layers

SMALL = {"in_channels": 1, "out_channels": 3, "channels": (8, 16, 16), "strides": (2, 2)}


def as_pytorch_has_them(network):
    """The network with PyTorch's own layers."""
    plain = {fast: slow for slow, fast in FASTER.items()}
    network = deepcopy(network)
    for layer in network.modules():
        layer.__class__ = plain.get(type(layer), type(layer))
    return network


def network(spatial_dims, lean=False):
    torch.manual_seed(0)
    return EnhancedUNet(spatial_dims, **SMALL, lean=lean)


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize(("spatial_dims", "size"), [(2, (1, 45, 37)), (3, (2, 21, 24, 13))])
def test_evaluation_gives_what_pytorchs_layers_give(spatial_dims, size, lean):
    fast = network(spatial_dims, lean).eval()
    x = torch.randn(size[0] if spatial_dims == 3 else 1, 1, *size[-spatial_dims:])
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), as_pytorch_has_them(fast)(x), rtol=0, atol=2e-4)


def test_training_gives_the_gradients_of_pytorchs_layers():
    fast = network(3)
    slow = as_pytorch_has_them(fast)
    x = torch.randn(1, 1, 12, 14, 10)
    for each in (fast, slow):
        sum(scale.square().mean() for scale in each(x)).backward()
    for one, other in zip(fast.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("size", [(7, 6, 5), (32, 24, 30)])
@pytest.mark.parametrize("mean", [0.0, 30.0])
def test_the_norm_is_exact_also_of_a_large_mean(size, mean):
    norm = use_cpu_layers(nn.InstanceNorm3d(4)).eval()
    x = channels_last(mean + torch.randn(2, 4, *size))
    exact = nn.InstanceNorm3d(4)(x.double()).float()
    torch.testing.assert_close(norm(x), exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.InstanceNorm3d(4, affine=True),
        nn.InstanceNorm3d(4, track_running_stats=True),
        nn.Conv3d(4, 4, 3, padding=1),
        nn.Conv3d(4, 4, 1, stride=2),
        nn.Conv3d(4, 4, 1, groups=2),
        nn.Conv3d(4, 4, 1, padding=1),
    ],
)
def test_other_layers_stay_as_they_are(layer):
    kind, x = type(layer), torch.randn(2, 4, 6, 5, 4)
    before = layer.eval()(x)
    use_cpu_layers(layer)
    assert type(layer) is kind
    torch.testing.assert_close(layer(x), before)


def test_channels_lie_side_by_side_to_the_end():
    seen = []
    fast = network(3).eval()
    for layer in fast.modules():
        if isinstance(layer, nn.Conv3d):
            layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.inference_mode():
        fast(torch.randn(2, 1, 24, 24, 24))
    large = [pair for pair in seen if pair[1][0, 0].numel() >= 1024]
    assert len(large) > 8
    assert all(each.is_contiguous(memory_format=torch.channels_last_3d) for pair in large for each in pair)


def test_lean_has_fewer_multiplications_at_full_resolution():
    def kernels(lean):
        fusion = network(3, lean).decoder[-1]
        return [layer.kernel_size for layer in fusion.convolve.modules() if isinstance(layer, nn.Conv3d)]

    assert kernels(False).count((3, 3, 3)) == 2
    assert kernels(True).count((3, 3, 3)) == 1
    assert isinstance(network(3, lean=True).skips[-1], nn.Identity)
    assert not isinstance(network(3, lean=True).skips[0], nn.Identity)
