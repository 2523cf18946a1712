"""Small named blocks that the networks of this package are put together from."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import ChannelSELayer, Convolution, ResidualUnit
from torch import nn
from torch.nn import functional

__all__ = [
    "AttentionFusion",
    "SupervisedHeads",
    "TransformationModule",
    "check_coarsest",
    "check_strides",
    "coarsest_rule",
    "conv_module",
    "init_xavier",
    "resize_to",
    "smooth",
]


def conv_module(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    strides: Sequence[int] | int = 1,
    dilation: int = 1,
    residual: bool = True,
    norm: str | tuple = "INSTANCE",
    act: str | tuple = "LEAKYRELU",
) -> nn.Module:
    """Two 3x3(x3) convolutions, each with norm and activation, as a residual module or plainly one after the other.

    The residual form is MONAI's ``ResidualUnit`` (He et al. 2016); the plain form is what a UNet has at that place.

    Shapes: ``(B, in_channels, ...)`` to ``(B, out_channels, ...)``, spatial size divided by ``strides`` and rounded up.
    """
    if residual:
        return ResidualUnit(
            spatial_dims, in_channels, out_channels, strides, subunits=2, dilation=dilation, norm=norm, act=act
        )
    return nn.Sequential(
        Convolution(spatial_dims, in_channels, out_channels, strides, dilation=dilation, norm=norm, act=act),
        Convolution(spatial_dims, out_channels, out_channels, dilation=dilation, norm=norm, act=act),
    )


class TransformationModule(nn.Module):
    """Turns low-level features into something nearer to the decoder's before a long skip joins them (Nie et al. 2018).

    A residual bottleneck: 1x1 to half the channels (not below 16), 3x3(x3), 1x1 back, added to the input.

    Shapes: ``(B, channels, ...)`` in and out.
    """

    def __init__(
        self, spatial_dims: int, channels: int, norm: str | tuple = "INSTANCE", act: str | tuple = "LEAKYRELU"
    ) -> None:
        super().__init__()
        # CPU kernels work on 16 channels at a time: a 3x3x3 convolution of 8 was measured five times slower than of 16
        inner = max(channels // 2, min(channels, 16))
        self.body = nn.Sequential(
            Convolution(spatial_dims, channels, inner, kernel_size=1, norm=norm, act=act),
            Convolution(spatial_dims, inner, inner, norm=norm, act=act),
            Convolution(spatial_dims, inner, channels, kernel_size=1, norm=norm, act=act),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The features plus what the module adds to them, same shape."""
        return x + self.body(x)


class AttentionFusion(nn.Module):
    """Joins high-level features with a long skip: resize, concatenate, weigh the channels, convolve.

    The weights are MONAI's ``ChannelSELayer`` (squeeze and excitation, Hu et al. 2018) over the concatenation, so low-
    and high-level channels compete, which is the paper's fusion module.

    Shapes: high ``(B, high_channels, ...)`` and low ``(B, low_channels, ...)`` to ``(B, low_channels, ...)`` at the
    spatial size of ``low``.

    ``lean`` convolves more cheaply: 1x1(x1) to the low channels, then one 3x3(x3) where there are two.
    """

    def __init__(
        self,
        spatial_dims: int,
        high_channels: int,
        low_channels: int,
        channel_attention: bool = True,
        residual: bool = True,
        norm: str | tuple = "INSTANCE",
        act: str | tuple = "LEAKYRELU",
        lean: bool = False,
    ) -> None:
        super().__init__()
        # fewer channels before the resize: the resized tensor is the largest of the decoder
        self.reduce = Convolution(spatial_dims, high_channels, low_channels, kernel_size=1, norm=norm, act=act)
        both = 2 * low_channels
        self.attention = ChannelSELayer(spatial_dims, both, r=min(4, both)) if channel_attention else nn.Identity()
        if lean:
            self.convolve: nn.Module = nn.Sequential(
                Convolution(spatial_dims, both, low_channels, kernel_size=1, norm=norm, act=act),
                ResidualUnit(spatial_dims, low_channels, low_channels, subunits=1, norm=norm, act=act)
                if residual
                else Convolution(spatial_dims, low_channels, low_channels, norm=norm, act=act),
            )
        else:
            self.convolve = conv_module(spatial_dims, both, low_channels, residual=residual, norm=norm, act=act)

    def forward(self, high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
        """The decoder's and the encoder's features, channels weighed."""
        high = resize_to(self.reduce(high), low)
        return self.convolve(self.attention(torch.cat([high, low], dim=1)))


class SupervisedHeads(nn.Module):
    """1x1 convolutions to logits at the finest scales of a decoder: one scale, or three with deep supervision.

    Shapes: a list of ``(B, channels[i], ...)``, coarsest first, to logits ``(B, out_channels, ...)``; in training with
    ``deep_supervision`` a list of them, finest first.
    """

    def __init__(self, spatial_dims: int, channels: Sequence[int], out_channels: int, deep_supervision: bool) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        self.heads = nn.ModuleList(
            Convolution(spatial_dims, width, out_channels, kernel_size=1, conv_only=True)
            for width in (channels[-3:] if deep_supervision else channels[-1:])
        )

    def forward(self, scales: list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Logits of each scale while training, else of the finest."""
        logits: list[torch.Tensor] = []
        first = len(scales) - len(self.heads)
        for i, head in enumerate(self.heads):
            if self.training or i == len(self.heads) - 1:
                logits.insert(0, head(scales[first + i]))
        if self.training and self.deep_supervision:
            return logits
        return logits[0]


def resize_to(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Resizes ``(B, C, ...)`` (bi- or trilinear) to the spatial size of ``like``; this lets odd sizes through."""
    if x.shape[2:] == like.shape[2:]:
        return x
    mode = "bilinear" if x.ndim == 4 else "trilinear"
    channels = x.shape[1]
    if x.device.type == "cpu":
        # channels side by side and a multiple of eight: two to four times faster there than one after the other
        if channels % 8:
            x = functional.pad(x, [0, 0] * (x.ndim - 2) + [0, -channels % 8])
        x = x.to(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)
    return functional.interpolate(x, size=like.shape[2:], mode=mode, align_corners=False)[:, :channels]


def smooth(x: torch.Tensor, axes: list[int]) -> torch.Tensor:
    """Half of each voxel and a quarter of both neighbours, along one axis after the other; the border is repeated.

    A Gaussian of standard deviation 0.7 voxels to a few percent, and n times in a row one of 0.7 times the root of n.
    As shifted sums it is several times faster on a CPU than as a convolution, and any size goes.

    Shapes: ``(B, C, ...)`` in and out.

    Args:
        x: feature maps.
        axes: spatial axes, the first is 0.

    Example:
        >>> smooth(torch.tensor([[[0.0, 0.0, 4.0, 0.0]]]), axes=[0])
        tensor([[[0., 1., 2., 1.]]])
    """
    if not torch.jit.is_scripting() and x.requires_grad:
        return _Smoothing.apply(x, axes)
    return _shifted_sums(x, axes)


def _shifted_sums(x: torch.Tensor, axes: list[int]) -> torch.Tensor:
    for spatial_axis in axes:
        axis = 2 + spatial_axis
        last = x.shape[axis] - 1
        total = x / 2
        total.narrow(axis, 1, last).add_(x.narrow(axis, 0, last), alpha=0.25)
        total.narrow(axis, 0, 1).add_(x.narrow(axis, 0, 1), alpha=0.25)
        total.narrow(axis, 0, last).add_(x.narrow(axis, 1, last), alpha=0.25)
        total.narrow(axis, last, 1).add_(x.narrow(axis, last, 1), alpha=0.25)
        x = total
    return x


class _Smoothing(torch.autograd.Function):
    """:func:`smooth` with its gradient: with the border repeated its matrix is symmetric, so the gradient is smoothed
    too. Autograd would copy the whole gradient once for each shifted sum."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, axes: list[int]) -> torch.Tensor:
        ctx.axes = axes
        return _shifted_sums(x, axes)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return smooth(gradients[0], ctx.axes), None


def init_xavier(network: nn.Module) -> None:
    """Xavier-uniform weights and zero biases in every convolution and linear layer, as the paper initialises both
    networks (Glorot and Bengio 2010)."""
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim > 1:
            nn.init.xavier_uniform_(weight)
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                nn.init.zeros_(bias)


DEFAULT_STRIDES = ((2, 2, 1), 2, 2)


def fitting_strides(strides: Sequence[Sequence[int] | int], spatial_dims: int) -> Sequence[Sequence[int] | int]:
    """The strides; the default ones without the third axis for images of two.

    Example:
        >>> fitting_strides(DEFAULT_STRIDES, 2)
        (2, 2, 2)
    """
    return (2, 2, 2) if spatial_dims == 2 and strides is DEFAULT_STRIDES else strides


def coarsest_rule(
    strides: Sequence[Sequence[int] | int], spatial_dims: int, norm: str | tuple
) -> tuple[list[int], int]:
    """Step of the coarsest grid along each axis, and in how large a batch one voxel there cannot be normalised.

    Instance norm fails in any batch, batch norm in a batch of 1, other norms in none.

    Example:
        >>> coarsest_rule([[2, 2, 1], 2], 3, "batch")
        ([4, 4, 2], 1)
    """
    axes = [[stride] * spatial_dims if isinstance(stride, int) else list(stride) for stride in strides]
    name = str(norm if isinstance(norm, str) else norm[0]).lower()
    fails = sys.maxsize if name.startswith("instance") else 1 if "batch" in name else 0
    return [math.prod(each) for each in zip(*axes, strict=True)], fails


def check_coarsest(x: torch.Tensor, step: list[int], fails: int) -> None:
    """Refuses, in training, what leaves one voxel on the coarsest grid, where a norm has nothing to compare.

    Args:
        x: the network's input, ``(B, channels, ...)``.
        step: of :func:`coarsest_rule`.
        fails: of it.

    Raises:
        ValueError: a norm of this kind cannot train on it.
    """
    one_voxel = True
    for axis, by in enumerate(step):
        one_voxel = one_voxel and x.shape[2 + axis] <= by
    if one_voxel and x.shape[0] <= fails:
        raise ValueError(
            f"an input of {list(x.shape[2:])} voxels leaves one voxel on the coarsest grid (steps of {step}), which no "
            "instance norm can train on, and batch norm only in a batch of 2 or more: use a larger patch_size, fewer "
            "strides, or with batch norm a larger batch_size"
        )


def check_strides(channels: Sequence[int], strides: Sequence[Sequence[int] | int], spatial_dims: int) -> None:
    """Checks the stage description that all networks here share: one stride fewer than channels.

    Raises:
        ValueError: with the two lengths, or the stride that does not fit ``spatial_dims``.
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}")
    if len(channels) < 2 or len(strides) != len(channels) - 1:
        raise ValueError(
            f"strides must hold one entry fewer than channels, at least one: got {len(strides)} strides "
            f"for {len(channels)} channels"
        )
    for stride in strides:
        if not isinstance(stride, int) and len(stride) != spatial_dims:
            raise ValueError(f"a stride must be an int or hold {spatial_dims} ints (spatial_dims), got {stride}")
