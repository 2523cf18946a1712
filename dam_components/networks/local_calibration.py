"""D as a local recalibration of S: cheap, because its convolutions run on a coarse grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import nn

from dam_components.networks.blocks import check_strides, init_xavier, resize_to
from dam_components.networks.confidence_net import confidence_features, largest_logit, padding_as_background
from dam_components.networks.confidence_trunk import ConfidenceTrunk

__all__ = ["LocalCalibrationNet"]


class LocalCalibrationNet(ConfidenceTrunk):
    r"""Confidence network (D) that corrects S's own confidence voxel by voxel.

    .. math:: \mathrm{logit}\,M(v) = \ell(v) + a(v) + \sum_f b_f(v)\, f(v)

    :math:`\ell` is the logit of S's largest probability, the features f are P̂, X, log P̂ and :math:`\ell`, all at full
    resolution; the coefficients a and :math:`b_f` come from a UNet whose first convolution already strides, and are
    interpolated. So M has S's full detail, while every convolution runs on the coarse grid: measured on a CPU, D costs
    a quarter to a half of :class:`ConfidenceNet`, and finds S's errors better. The last layer starts at zero:
    untrained, M is S's softmax. With a alone this would be a shift, with :math:`b_\ell` alone the local temperature
    scaling of Ding et al. 2021.

    Shapes: ``torch.cat([P̂, X], 1)``, ``(B, in_channels, ...)``, to one logit a voxel ``(B, 1, ...)``. Any size goes.

    Args:
        spatial_dims: 2 or 3.
        in_channels: classes plus image channels.
        num_classes: how many of the first input channels are probabilities, background included.
        channels: feature maps of each stage, finest first; half of those that S has on the same grids.
        strides: step to each stage, as many as stages: the first from the full grid to the first stage.
        norm: MONAI's name (and arguments) of the normalisation.
        act: MONAI's name (and arguments) of the activation.

    Raises:
        ValueError: if ``num_classes`` exceeds ``in_channels``, or ``strides`` does not fit.

    Example:
        >>> import torch
        >>> D = LocalCalibrationNet(spatial_dims=3, in_channels=4, num_classes=3, channels=(4, 8), strides=(2, 2))
        >>> tuple(D(torch.cat([torch.rand(1, 3, 9, 8, 8).softmax(1), torch.rand(1, 1, 9, 8, 8)], 1)).shape)
        (1, 1, 9, 8, 8)
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 3,
        num_classes: int = 2,
        channels: Sequence[int] = (16, 32, 64),
        strides: Sequence[Sequence[int] | int] = ((2, 2, 1), 2, 2),
        norm: str | tuple = "INSTANCE",
        act: str | tuple = "LEAKYRELU",
    ) -> None:
        if not strides or len(strides) != len(channels):
            raise ValueError(
                f"strides must hold one entry for each of the channels: got {len(strides)} strides for "
                f"{len(channels)} channels"
            )
        check_strides([0, *channels], strides, spatial_dims)
        used = in_channels + num_classes + 1
        super().__init__(spatial_dims, in_channels, num_classes, used, channels, strides, norm, act)
        self.head = Convolution(spatial_dims, channels[0], 1 + used, kernel_size=1, conv_only=True)
        init_xavier(self)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.check(x)
        x = padding_as_background(x, self.num_classes)
        features = confidence_features(x, self.num_classes)
        coefficients = resize_to(self.head(self.trunk(self.filled(features))).float(), x)
        correction = coefficients[:, :1] + (coefficients[:, 1:] * features.float()).sum(1, keepdim=True)
        return (correction + largest_logit(x[:, : self.num_classes])).to(x.dtype)
