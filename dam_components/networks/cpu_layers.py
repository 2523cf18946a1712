"""Layers that give what PyTorch's give, from the same weights, in the form in which a CPU runs inference fastest."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["FastInstanceNorm", "PointwiseConvolution", "channels_last", "use_cpu_layers"]

SCATTERED = 1024  # voxels below which PyTorch normalises channels that lie side by side one number at a time


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """``(B, C, ...)`` with the channels of a voxel side by side in memory: a 3x3x3 convolution of 16 channels in float32
    was measured twice as fast on a CPU than of channels that lie one after the other."""
    # not contiguous(), which leaves a single channel as it is: layers would take it for the other order
    return x.to(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)


class FastInstanceNorm(nn.Module):
    """Instance normalisation without weights. In evaluation on a CPU it is group normalisation of groups of one channel,
    the same function, which was measured four times faster. (Its gradient is slow, and so is float32 under CUDA's
    autocast: elsewhere it stays what it was.)

    Shapes: ``(B, C, ...)`` in and out.

    Args:
        eps: what is added to the variance.

    Example:
        >>> x = torch.rand(2, 3, 4, 5, 6)
        >>> bool(torch.allclose(FastInstanceNorm().eval()(x), nn.InstanceNorm3d(3)(x), atol=1e-5))
        True
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training or x.device.type != "cpu":
            return functional.instance_norm(x, eps=self.eps)
        if x[0, 0].numel() < SCATTERED:
            x = x.contiguous()
        return functional.group_norm(x, x.shape[1], eps=self.eps)


class PointwiseConvolution(nn.Module):
    """A 1x1(x1) convolution. In evaluation on a CPU it is a matrix product, which leaves the channels of a voxel side by
    side.

    Shapes: ``(B, in_channels, ...)`` to ``(B, out_channels, ...)``.

    Args:
        layer: the convolution whose weights it takes over.

    Example:
        >>> layer, x = nn.Conv3d(2, 5, 1), torch.rand(1, 2, 3, 4, 5)
        >>> bool(torch.allclose(PointwiseConvolution(layer).eval()(x), layer(x), atol=1e-6))
        True
    """

    def __init__(self, layer: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.weight = layer.weight
        self.bias = layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training and x.device.type == "cpu":
            return functional.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)
        if x.ndim == 4:
            return functional.conv2d(x, self.weight, self.bias)
        return functional.conv3d(x, self.weight, self.bias)


def use_cpu_layers(network: nn.Module) -> nn.Module:
    """Puts the layers of this module in place of instance norms without weights and of 1x1(x1) convolutions, and lets
    activations overwrite their input, which must be a norm's or a convolution's output that nobody else reads. Names and
    values of the network's weights stay as they are.

    Example:
        >>> network = use_cpu_layers(nn.Sequential(nn.Conv3d(1, 4, 3), nn.InstanceNorm3d(4), nn.Conv3d(4, 2, 1)))
        >>> [type(layer).__name__ for layer in network]
        ['Conv3d', 'FastInstanceNorm', 'PointwiseConvolution']
        >>> list(network.state_dict())
        ['0.weight', '0.bias', '2.weight', '2.bias']
    """
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, (nn.InstanceNorm2d, nn.InstanceNorm3d)):
                if not layer.affine and not layer.track_running_stats:
                    setattr(module, name, FastInstanceNorm(layer.eps))
            elif isinstance(layer, (nn.Conv2d, nn.Conv3d)) and is_pointwise(layer):
                setattr(module, name, PointwiseConvolution(layer))
            elif isinstance(layer, (nn.LeakyReLU, nn.ReLU)):
                layer.inplace = True
    return network


def is_pointwise(layer: nn.Conv2d | nn.Conv3d) -> bool:
    """Whether the layer makes every output voxel of the input's channels at that voxel alone."""
    return {*layer.kernel_size, *layer.stride, layer.groups} == {1} and {*layer.padding} == {0}
