"""S and D as one network, to be exported in one file or run over the same windows in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["SegmentationWithConfidence"]


class SegmentationWithConfidence(nn.Module):
    """S and D in one: P̂ and M = sigmoid(D(P̂ ∪ X)), Eq. 12, as the channels of one tensor.

    One tensor is what ``ckpt_export``, ``onnx_export``, ``trt_export`` and any sliding window take. Under a sliding
    window D sees each window's own P̂; the bundle's inference shows it the P̂ blended of all windows, so the two M
    differ a little where windows overlap.

    Shapes: X ``(B, image channels, ...)`` to ``(B, C + 1, ...)``: P̂ in the first C channels, M in the last.

    Args:
        network: S; of several scales the finest counts.
        confidence_network: D.
        logits: leave out softmax and sigmoid, so that a sliding window blends logits, as the bundle's inference does.

    Example:
        >>> from dam_components.networks import ConfidenceNet, EnhancedUNet
        >>> S = EnhancedUNet(2, in_channels=1, out_channels=3, channels=(4, 8), strides=(2,))
        >>> D = ConfidenceNet(2, in_channels=4, num_classes=3, channels=(4, 8), strides=(2,))
        >>> both = SegmentationWithConfidence(S, D).eval()(torch.rand(1, 1, 8, 8))
        >>> tuple(both.shape), bool(torch.allclose(both[:, :3].sum(1), torch.ones(1, 8, 8)))
        ((1, 4, 8, 8), True)
    """

    def __init__(self, network: nn.Module, confidence_network: nn.Module, logits: bool = False) -> None:
        super().__init__()
        self.network = network
        self.confidence_network = confidence_network
        self.logits = logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Image to P̂ and M, channels side by side; with ``logits`` both before softmax and sigmoid."""
        segmentation = self.network(x)
        if not isinstance(segmentation, torch.Tensor):
            segmentation = segmentation[0]
        segmentation = segmentation.float()
        probabilities = segmentation.softmax(1)
        judgement = self.confidence_network(torch.cat([probabilities, x.float()], dim=1)).float()
        if self.logits:
            return torch.cat([segmentation, judgement], dim=1)
        return torch.cat([probabilities, judgement.sigmoid()], dim=1)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads a state of both, or S's alone (``models/model.pt``, which MONAI's export commands load by default);
        D then stays as it is."""
        if any(name.startswith("confidence_network.") for name in state_dict):
            return super().load_state_dict(state_dict, strict, assign)
        return self.network.load_state_dict(state_dict, strict, assign)
