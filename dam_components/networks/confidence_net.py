"""D, the fully convolutional confidence network of Nie et al., AAAI 2019, section "Fully Convolutional Confidence
Learning"."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import nn

from dam_components.networks.blocks import DEFAULT_STRIDES, check_strides, fitting_strides, init_xavier
from dam_components.networks.confidence_trunk import ConfidenceTrunk
from dam_components.networks.identity import keep_options

__all__ = ["ConfidenceNet"]


@keep_options
class ConfidenceNet(ConfidenceTrunk):
    """Confidence network (D): M = sigmoid(D(P̂ ∪ X)), Eq. 12. A UNet with one convolution a stage and half of S's
    feature maps.

    The paper feeds D probabilities. Near 0 and 1, where most voxels are, they say little to a convolution, so D also
    gets what it derives from them: the log-probabilities and the logit of the largest
    (``log_probabilities=False`` is the paper's input). Any size goes.

    Shapes: ``torch.cat([P̂, X], 1)``, ``(B, in_channels, ...)``, to one logit a voxel ``(B, 1, ...)``.

    Args:
        spatial_dims: 2 or 3.
        in_channels: classes plus image channels.
        num_classes: how many of the first input channels are probabilities, background included.
        channels: feature maps of each stage, finest first; half of S's.
        strides: step from each stage to the next, an int or one int an axis.
        norm: MONAI's name (and arguments) of the normalisation.
        act: MONAI's name (and arguments) of the activation.
        use_image: False leaves X out: D judges the shape of P̂ alone.
        log_probabilities: derive log-probabilities and the logit of the largest from P̂.
        residual: add S's own confidence, the logit of its largest probability, to D's output, and start D's last layer
            at zero: an untrained M is S's softmax, and D learns only what the softmax has wrong. Switch it off where D
            is to judge labels as well (Eq. 4 as printed), which are always sure.
        literal: the paper's D and nothing else. It sees P̂ and X as they are, has a 3x3x3 convolution at every stage,
            and neither ``log_probabilities`` nor ``residual`` has an effect. Voxels without probabilities stay zero.

    Raises:
        ValueError: if ``num_classes`` exceeds ``in_channels``, or ``strides`` does not fit.

    Example:
        >>> import torch
        >>> D = ConfidenceNet(spatial_dims=3, in_channels=4, num_classes=3, channels=(4, 8), strides=(2,))
        >>> tuple(D(torch.cat([torch.rand(1, 3, 9, 8, 8).softmax(1), torch.rand(1, 1, 9, 8, 8)], 1)).shape)
        (1, 1, 9, 8, 8)
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 3,
        num_classes: int = 2,
        channels: Sequence[int] = (8, 16, 32, 64),
        strides: Sequence[Sequence[int] | int] = DEFAULT_STRIDES,
        norm: str | tuple = "INSTANCE",
        act: str | tuple = "LEAKYRELU",
        use_image: bool = True,
        log_probabilities: bool = True,
        residual: bool = True,
        literal: bool = False,
    ) -> None:
        strides = fitting_strides(strides, spatial_dims)
        check_strides(channels, strides, spatial_dims)
        log_probabilities, residual = log_probabilities and not literal, residual and not literal
        used = (in_channels if use_image else num_classes) + (num_classes + 1 if log_probabilities else 0)
        super().__init__(spatial_dims, in_channels, num_classes, used, channels, [1, *strides], norm, act, literal)
        self.literal = literal
        self.use_image = use_image
        self.log_probabilities = log_probabilities
        self.residual = residual
        self.head = Convolution(spatial_dims, channels[0], 1, kernel_size=1, conv_only=True)
        init_xavier(self)
        if residual:
            for parameter in self.head.parameters():
                nn.init.zeros_(parameter)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the first convolution sees: P̂, the image, log-probabilities and largest logit, and zeros to fill up."""
        features = [x if self.use_image else x[:, : self.num_classes]]
        if self.log_probabilities:
            probabilities = x[:, : self.num_classes]
            own = 0.2 * largest_logit(probabilities)
            features += [scaled_logarithms(probabilities).to(x.dtype), own.to(x.dtype)]
        return self.filled(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``torch.cat([P̂, X], 1)`` to one logit a voxel, ``(B, 1, ...)``."""
        self.check(x)
        if not self.literal:
            x = padding_as_background(x, self.num_classes)
        judged = self.head(self.trunk(self.features(x)))
        if self.residual:  # added in single precision: half of it would give sure voxels the same M
            judged = (judged.float() + largest_logit(x[:, : self.num_classes])).to(x.dtype)
        return judged


def padding_as_background(x: torch.Tensor, num_classes: int) -> torch.Tensor:
    """D's input with voxels that have no probabilities at all, the zeros that a sliding window pads P̂ with, as sure
    background. As zeros they would look less sure than any real voxel, and tilt the normalisation of a small volume."""
    nothing = x[:, :num_classes].sum(1, keepdim=True) == 0
    return torch.cat([x[:, :1] + nothing.to(x.dtype), x[:, 1:]], dim=1)


def scaled_logarithms(probabilities: torch.Tensor) -> torch.Tensor:
    """Logarithms of P̂, ``(B, C, ...)``, times 0.2, which keeps them near the image's values."""
    return 0.2 * probabilities.float().clamp(1e-6, 1 - 1e-6).log()


def finite_logit(probabilities: torch.Tensor) -> torch.Tensor:
    """Their logit, also of 0 and 1. In float32: 1 - p of a sure voxel is lost in half precision."""
    return torch.logit(probabilities.float().clamp(1e-6, 1 - 1e-6))


def largest_logit(probabilities: torch.Tensor) -> torch.Tensor:
    """Logit of the largest probability, ``(B, 1, ...)``: S's own confidence."""
    return finite_logit(probabilities.amax(1, keepdim=True))
