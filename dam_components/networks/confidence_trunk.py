"""What the confidence networks share: checks of their input, and a UNet with one convolution a stage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import nn

from dam_components.networks.blocks import check_coarsest, coarsest_rule, resize_to
from dam_components.probabilities import check_class_count

__all__ = ["ConfidenceTrunk"]


class ConfidenceTrunk(nn.Module):
    """A UNet with one convolution a stage, over features of D's input ``torch.cat([P̂, X], 1)``.

    Args:
        spatial_dims: 2 or 3.
        in_channels: classes plus image channels.
        num_classes: how many of the first input channels are probabilities, background included.
        features: channels that are derived from the input.
        channels: feature maps of each stage, finest first.
        strides: step to each stage, as many as stages.
        norm: MONAI's name (and arguments) of the normalisation.
        act: MONAI's name (and arguments) of the activation.
        literal: the paper's layers alone: a 3x3x3 convolution at the decoder's finest stage too, and no channels of
            zeros. By default that convolution is 1x1x1, half of D's price, and the input is filled up to a multiple of
            16 channels, which a CPU's kernels need.

    Raises:
        ValueError: if ``num_classes`` exceeds ``in_channels``.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        features: int,
        channels: Sequence[int],
        strides: Sequence[Sequence[int] | int],
        norm: str | tuple,
        act: str | tuple,
        literal: bool = False,
    ) -> None:
        super().__init__()
        check_class_count(num_classes, "P̂ (num_classes)")
        if num_classes > in_channels:
            raise ValueError(
                f"num_classes must be at most in_channels (classes plus image channels), "
                f"got num_classes={num_classes} and in_channels={in_channels}"
            )
        self.coarsest_step, self.fails_in_batch = coarsest_rule(strides, spatial_dims, norm)
        self.in_channels = in_channels
        self.num_classes = num_classes
        # filled up with zeros: on a CPU a 3x3x3 convolution of 8 channels was measured five times slower than of 16
        inputs = features if literal else -(-features // 16) * 16
        self.zeros = inputs - features
        self.encoder = nn.ModuleList(
            Convolution(spatial_dims, before, after, stride, norm=norm, act=act)
            for before, after, stride in zip([inputs, *channels[:-1]], channels, strides, strict=True)
        )
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))  # coarsest first
        self.reduce = nn.ModuleList(
            Convolution(spatial_dims, high, low, kernel_size=1, norm=norm, act=act) for high, low in pairs
        )
        # 1x1 at the finest stage: there the skip is one 3x3(x3) convolution from P̂, and a second is half of D's price
        finest = 3 if literal else 1
        self.decoder = nn.ModuleList(
            Convolution(spatial_dims, 2 * low, low, kernel_size=3 if i < len(pairs) - 1 else finest, norm=norm, act=act)
            for i, (_, low) in enumerate(pairs)
        )

    def check(self, x: torch.Tensor) -> None:
        """Refuses an input of other channels than D was made for, and in training one too small to learn from."""
        if x.shape[1] != self.in_channels:
            raise ValueError(f"D expects {self.in_channels} channels (P̂ and the image), got {x.shape[1]}")
        if self.training:
            check_coarsest(x, self.coarsest_step, self.fails_in_batch)

    def filled(self, features: list[torch.Tensor]) -> torch.Tensor:
        """The features, and zeros to fill up."""
        zeros = torch.zeros_like(features[0][:, :1]).expand([-1, self.zeros] + [-1] * (features[0].ndim - 2))
        return torch.cat(features + [zeros], dim=1)

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """Filled features ``(B, ...)`` to the finest stage's feature maps, at that stage's size."""
        lows: list[torch.Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            lows.insert(0, x)
        for i, (reduce, stage) in enumerate(zip(self.reduce, self.decoder)):  # noqa: B905 - TorchScript knows no strict
            x = stage(torch.cat([resize_to(reduce(x), lows[i + 1]), lows[i + 1]], dim=1))
        return x
