"""Layers that give what PyTorch's give, from the same weights, in the form in which a CPU runs inference fastest."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["channels_last", "use_cpu_layers"]


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """``(B, C, ...)`` with the channels of a voxel side by side in memory: so a 3x3x3 convolution of 16 channels in
    float32 was measured twice as fast on a CPU."""
    # not contiguous(), which leaves a single channel as it is: layers would take it for the other order
    return x.to(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)


def normalize(x: torch.Tensor, eps: float) -> torch.Tensor:
    """Instance normalisation as group normalisation of groups of one channel, measured two to four times faster on a
    CPU; its gradient is slow there.

    Float32 input is overwritten: PyTorch's sum of squares loses digits where a channel's mean is large, so most of the
    mean is taken off before.
    """
    if x[0, 0].numel() < 1024:  # so few voxels PyTorch would take one by one where channels lie side by side
        x = x.contiguous()
    elif x.dtype == torch.float32:
        some = x[:, :, ::4, ::4]
        x.sub_(some.mean([2, 3] if x.ndim == 4 else [2, 3, 4], keepdim=True))
    return functional.group_norm(x, x.shape[1], eps=eps)


def mix_channels(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A 1x1(x1) convolution as a matrix product, which leaves the channels of a voxel side by side."""
    last = x.ndim - 1  # not -1, which the ONNX exporter writes into the file as it is
    return functional.linear(x.movedim(1, last), weight.flatten(1), bias).movedim(last, 1)


class _InstanceNorm2d(nn.InstanceNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training or x.device.type != "cpu":
            return functional.instance_norm(x, eps=self.eps)
        return normalize(x, self.eps)


class _InstanceNorm3d(nn.InstanceNorm3d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training or x.device.type != "cpu":
            return functional.instance_norm(x, eps=self.eps)
        return normalize(x, self.eps)


class _Conv2d(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training or x.device.type != "cpu":
            return functional.conv2d(x, self.weight, self.bias)
        return mix_channels(x, self.weight, self.bias)


class _Conv3d(nn.Conv3d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training or x.device.type != "cpu":
            return functional.conv3d(x, self.weight, self.bias)
        return mix_channels(x, self.weight, self.bias)


class _LeakyReLU(nn.LeakyReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu_(x, self.negative_slope)


FASTER: dict[type[nn.Module], type[nn.Module]] = {
    nn.InstanceNorm2d: _InstanceNorm2d,
    nn.InstanceNorm3d: _InstanceNorm3d,
    nn.Conv2d: _Conv2d,
    nn.Conv3d: _Conv3d,
    nn.LeakyReLU: _LeakyReLU,
}
for _plain, _fast in FASTER.items():
    _fast.__name__ = _plain.__name__  # a network prints as before, so that it is the same network to `identify`


def use_cpu_layers(network: nn.Module) -> nn.Module:
    """Lets instance norms without weights, 1x1(x1) convolutions and leaky ReLUs of a network work in the ways of this
    module. In training, and on other devices, norms and convolutions stay as they were.

    Norms and activations overwrite their input: nobody else may read the output of the convolution or norm before.

    Example:
        >>> network = nn.Sequential(nn.Conv3d(1, 4, 3), nn.InstanceNorm3d(4), nn.Conv3d(4, 2, 1)).eval()
        >>> x = torch.rand(1, 1, 5, 6, 7)
        >>> before = network(x)
        >>> bool(torch.allclose(use_cpu_layers(network)(x), before, atol=1e-5))
        True
    """
    for layer in network.modules():
        faster = FASTER.get(type(layer))
        if faster is None:
            continue
        if isinstance(layer, (nn.InstanceNorm2d, nn.InstanceNorm3d)) and (layer.affine or layer.track_running_stats):
            continue
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)) and not is_pointwise(layer):
            continue
        layer.__class__ = faster
    return network


def is_pointwise(layer: nn.Conv2d | nn.Conv3d) -> bool:
    """Whether the layer makes every output voxel of the input's channels at that voxel alone."""
    return {*layer.kernel_size, *layer.stride, layer.groups} == {1} and {*layer.padding} == {0}
