"""DSResUNet, the strongest baseline of the paper's Table 1 (Yu et al., AAAI 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import nn

from dam_components.networks.blocks import (
    DEFAULT_STRIDES,
    SupervisedHeads,
    check_coarsest,
    check_strides,
    coarsest_rule,
    conv_module,
    fitting_strides,
    init_xavier,
    resize_to,
)
from dam_components.networks.identity import keep_options

__all__ = ["DSResUNet"]


@keep_options
class DSResUNet(nn.Module):
    """UNet with mixed residual connections and deep supervision (Yu et al., "Volumetric ConvNets with Mixed Residual
    Connections", AAAI 2017): short residual connections inside every stage, long ones that *add* the skip to the
    decoder's features where a UNet concatenates, and logits at three scales in training.

    Shapes: ``(B, in_channels, ...)`` to logits ``(B, out_channels, ...)``; while training with ``deep_supervision``, a
    list of up to three, finest first, each at the size of its own scale. Any size goes.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        channels: feature maps of each stage, finest first.
        strides: step from each stage to the next, an int or one int an axis.
        norm: MONAI's name (and arguments) of the normalisation.
        act: MONAI's name (and arguments) of the activation.
        deep_supervision: logits at three scales in training mode.

    Raises:
        ValueError: if ``strides`` does not fit ``channels`` or ``spatial_dims``.

    Example:
        >>> import torch
        >>> net = DSResUNet(spatial_dims=2, in_channels=1, out_channels=3, channels=(4, 8), strides=(2,)).eval()
        >>> tuple(net(torch.zeros(1, 1, 9, 12)).shape)
        (1, 3, 9, 12)
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = 2,
        channels: Sequence[int] = (16, 32, 64, 128),
        strides: Sequence[Sequence[int] | int] = DEFAULT_STRIDES,
        norm: str | tuple = "INSTANCE",
        act: str | tuple = "LEAKYRELU",
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        strides = fitting_strides(strides, spatial_dims)
        check_strides(channels, strides, spatial_dims)
        self.coarsest_step, self.fails_in_batch = coarsest_rule(strides, spatial_dims, norm)
        self.encoder = nn.ModuleList(
            conv_module(spatial_dims, before, after, stride, norm=norm, act=act)
            for before, after, stride in zip([in_channels, *channels[:-1]], channels, [1, *strides], strict=True)
        )
        lows = list(reversed(channels[:-1]))  # coarsest first, the order in which the decoder works
        self.reduce = nn.ModuleList(
            Convolution(spatial_dims, high, low, kernel_size=1, norm=norm, act=act)
            for high, low in zip([channels[-1], *lows[:-1]], lows, strict=True)
        )
        self.decoder = nn.ModuleList(conv_module(spatial_dims, low, low, norm=norm, act=act) for low in lows)
        self.heads = SupervisedHeads(spatial_dims, lows, out_channels, deep_supervision)
        init_xavier(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Image to logits; while training a list of them, finest first."""
        if self.training:
            check_coarsest(x, self.coarsest_step, self.fails_in_batch)
        lows: list[torch.Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            lows.insert(0, x)
        scales: list[torch.Tensor] = []  # coarsest first
        for i, (reduce, stage) in enumerate(zip(self.reduce, self.decoder)):  # noqa: B905 - TorchScript knows no strict
            x = stage(resize_to(reduce(x), lows[i + 1]) + lows[i + 1])
            scales.append(x)
        return self.heads(scales)
