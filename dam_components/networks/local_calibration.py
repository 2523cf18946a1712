"""D as a local recalibration of S: cheap, because its convolutions run on a coarse grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import nn

from dam_components.networks.blocks import (
    DEFAULT_STRIDES,
    check_strides,
    fitting_strides,
    init_xavier,
    resize_to,
    smooth,
)
from dam_components.networks.confidence_net import finite_logit, padding_as_background, scaled_logarithms
from dam_components.networks.confidence_trunk import ConfidenceTrunk
from dam_components.networks.identity import keep_options

__all__ = ["LocalCalibrationNet"]


@keep_options
class LocalCalibrationNet(ConfidenceTrunk):
    r"""Confidence network (D) that corrects S's own confidence voxel by voxel.

    .. math:: \mathrm{logit}\,M(v) = \bar\ell(v) + a(v) + \sum_n b_n(v)\,\ell_n(v) + \sum_f c_f(v)\,f(v)

    :math:`\ell_n` is the logit of the probability of S's class in P̂ smoothed n times, :math:`\bar\ell` its mean over
    n: a voxel that its neighbours do not bear out is likelier wrong than its own probability says. The features f are
    each image channel's detail (what smoothing takes away) and local contrast (the root mean square of the detail
    nearby). All of these have full resolution; the coefficients a, b and c come from a UNet whose first convolution
    already strides, and are interpolated. So M has S's full detail, while every convolution runs on the coarse grid: D
    costs less than :class:`ConfidenceNet`, and on the hippocampus finds S's errors better. The last layer starts at
    zero: untrained, M is :math:`\mathrm{sigmoid}(\bar\ell)`, which beats S's softmax there, and on thick slices of the
    prostate over the whole volume, not near the surface; with no smoothing it is the softmax. With :math:`b_0` alone
    this would be the local temperature scaling of Ding et al. 2021.

    Shapes: ``torch.cat([P̂, X], 1)``, ``(B, in_channels, ...)``, to one logit a voxel ``(B, 1, ...)``. Any size goes.

    Args:
        spatial_dims: 2 or 3.
        in_channels: classes plus image channels.
        num_classes: how many of the first input channels are probabilities, background included.
        channels: feature maps of each stage, finest first; half of those that S has on the same grids.
        strides: step to each stage, as many as stages: the first from the full grid to the first stage.
        norm: MONAI's name (and arguments) of the normalisation.
        act: MONAI's name (and arguments) of the activation.
        smoothings: how many times P̂ is smoothed (:func:`~dam_components.networks.blocks.smooth`), along the axes that
            the first stride shortens: those that it leaves alone are the ones with thick slices.

    Raises:
        ValueError: if ``num_classes`` exceeds ``in_channels``, ``strides`` does not fit, or ``smoothings`` is negative.

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
        strides: Sequence[Sequence[int] | int] = DEFAULT_STRIDES,
        norm: str | tuple = "INSTANCE",
        act: str | tuple = "LEAKYRELU",
        smoothings: int = 3,
    ) -> None:
        if smoothings < 0:
            raise ValueError(f"smoothings must be at least 0, got {smoothings}")
        strides = fitting_strides(strides, spatial_dims)
        if not strides or len(strides) != len(channels):
            raise ValueError(
                f"strides must hold one entry for each of the channels: got {len(strides)} strides for "
                f"{len(channels)} channels"
            )
        check_strides([0, *channels], strides, spatial_dims)
        images = in_channels - num_classes
        local = 2 * images + smoothings  # beside what every D sees, which holds the logit of P̂ as it is
        seen = in_channels + num_classes + 1 + local
        super().__init__(spatial_dims, in_channels, num_classes, seen, channels, strides, norm, act)
        self.smoothings = smoothings
        first = [strides[0]] * spatial_dims if isinstance(strides[0], int) else strides[0]
        self.axes = [axis for axis, step in enumerate(first) if step > 1]
        self.head = Convolution(spatial_dims, channels[0], 2 + local, kernel_size=1, conv_only=True)
        init_xavier(self)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``torch.cat([P̂, X], 1)`` to one logit a voxel, ``(B, 1, ...)``."""
        self.check(x)
        x = padding_as_background(x, self.num_classes)
        probabilities, image = x[:, : self.num_classes].float(), self.image_detail(x[:, self.num_classes :].float())
        logits = self.predicted_logits(probabilities)
        seen = [x] + [part.to(x.dtype) for part in (scaled_logarithms(probabilities), 0.2 * logits, image)]
        coefficients = resize_to(self.head(self.trunk(self.filled(seen))).float(), x).split(1, dim=1)
        judged = logits.mean(1, keepdim=True) + coefficients[0]
        for coefficient, value in zip(coefficients[1:], logits.split(1, dim=1) + image.split(1, dim=1)):  # noqa: B905
            judged = torch.addcmul(judged, coefficient, value)
        return judged.to(x.dtype)

    def predicted_logits(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Logits of the probability of S's class in P̂ smoothed 0, 1, 2, ... times: ``(B, 1 + smoothings, ...)``.

        Where classes tie, it is that of the one which the neighbours bear out best.
        """
        largest = probabilities.amax(1, keepdim=True)
        predicted = probabilities == largest  # max with indices, and gather, were measured twice as slow on a CPU
        levels = [largest]
        for _ in range(self.smoothings):
            probabilities = smooth(probabilities, self.axes)
            levels.append((probabilities * predicted).amax(1, keepdim=True))
        return finite_logit(torch.cat(levels, dim=1))

    def image_detail(self, image: torch.Tensor) -> torch.Tensor:
        """Detail and local contrast of each image channel, ``(B, 2 * channels, ...)``."""
        detail = image - self.smooth_twice(image)
        return torch.cat([detail, (self.smooth_twice(detail.square()) + 1e-6).sqrt()], dim=1)

    def smooth_twice(self, x: torch.Tensor) -> torch.Tensor:
        """The image without its detail."""
        return smooth(smooth(x, self.axes), self.axes)
