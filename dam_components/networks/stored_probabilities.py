"""Another model's stored probabilities in S's place."""

from __future__ import annotations

import torch
from torch import nn

from dam_components.networks.confidence_net import padding_as_background
from dam_components.plain_tensor import plain

__all__ = ["StoredProbabilities"]

SMALLEST = 1e-12  # probabilities of 0, as logits


class StoredProbabilities(nn.Module):
    """Stands for a model that has run already: gives its probabilities as logits, whose softmax they are.

    Whatever stands behind S (losses, confidence map, report) works as behind a network. Voxels without any probability,
    which padding leaves behind, become background.

    Shapes: image ``(B, channels, ...)``, which is ignored, and P̂ ``(B, C, ...)``, to logits ``(B, C, ...)``.

    Args:
        in_place: write the logits over the probabilities, which a large case needs.

    Example:
        >>> p = torch.tensor([[[0.9, 0.0], [0.1, 0.0]]])
        >>> StoredProbabilities()(torch.zeros(1, 1, 2), p).softmax(1).round(decimals=6)
        tensor([[[0.9000, 1.0000],
                 [0.1000, 0.0000]]])
    """

    def __init__(self, in_place: bool = False) -> None:
        super().__init__()
        self.in_place = in_place

    def forward(self, image: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        if self.in_place and probabilities.dtype == torch.float32:
            values = plain(probabilities)
            values[:, :1].add_((values.sum(1, keepdim=True) == 0).to(values.dtype))
            values.clamp_min_(SMALLEST).log_()
            return probabilities
        whole = padding_as_background(probabilities.float(), probabilities.shape[1])
        return whole.clamp_min(SMALLEST).log()
