"""A network whose probabilities are known, for tests of doubt."""

import torch
from monai.inferers import SimpleInferer
from torch import nn

from dam_components.confidence.doubt_scores import Segmentation, Segmenter


class Fixed(nn.Module):
    """Logits that are weights: two classes, the second's logit is the image times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return torch.cat([torch.zeros_like(x), self.factor * x], dim=1)


def setup_case(network=None, image=None):
    """S, and what it says of an image."""
    segmenter = Segmenter(network or Fixed(), SimpleInferer())
    image = torch.tensor([[[2.0, -1.0, 0.5, 0.0]]]) if image is None else image
    return segmenter, Segmentation.of(image, segmenter)
