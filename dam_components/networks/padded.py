"""Networks that want sizes divisible by something, behind an input of any size."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["PaddedNetwork"]


class PaddedNetwork(nn.Module):
    """Pads the image with zeros to the next multiple of ``k``, runs the network, and crops its output again.

    MONAI's ``VNet``, for one, halves every axis four times and fails on other sizes than multiples of 16. The zeros go
    to both ends of an axis, as in MONAI's ``DivisiblePad``; they are the mean of a normalised image.

    Shapes: ``(B, channels, ...)`` to what the network gives, ``(B, C, ...)`` at the image's size.

    Args:
        network: gives one tensor of the size of its input.
        k: what every spatial size becomes a multiple of.

    Raises:
        ValueError: if ``k`` is below 1.

    Example:
        >>> from monai.networks.nets import VNet
        >>> S = PaddedNetwork(VNet(spatial_dims=2, out_channels=2), k=16).eval()
        >>> tuple(S(torch.rand(1, 1, 17, 40)).shape)
        (1, 2, 17, 40)
    """

    def __init__(self, network: nn.Module, k: int = 16) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.network = network
        self.k = k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The network's logits, at the image's own size."""
        lacks = [-size % self.k for size in x.shape[2:]]
        padding = [n for lack in reversed(lacks) for n in (lack // 2, lack - lack // 2)]  # the last axis first
        y = self.network(functional.pad(x, padding))
        for axis, (lack, size) in enumerate(zip(lacks, x.shape[2:], strict=True), start=2):
            y = y.narrow(axis, lack // 2, size)
        return y
