"""Multi-atlas label fusion (MALF), the paper's first baseline, in place of a network S."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_dst_type
from torch import nn

from dam_study.baselines.atlases import Atlases
from dam_study.baselines.fusion import FUSIONS, fuse_labels
from dam_study.baselines.registration import Registration
from dam_study.baselines.simple_itk import simple_itk

__all__ = ["MultiAtlasFusion"]


class MultiAtlasFusion(nn.Module):
    """Registers the most similar training cases onto an image and fuses their labels.

    The paper does not say which kind of MALF it ran. This is the plain one: affine and B-spline registration, the
    atlases selected by similarity, and majority vote (Heckemann et al. 2006; Klein et al. 2008 for the prostate).
    It has no parameters to train and takes a whole image, not patches.

    Shapes: images ``(B, K, ...)`` to the classes' shares of votes ``(B, C, ...)``.

    Args:
        cases: see :class:`Atlases`.
        preprocessing: see :class:`Atlases`.
        spacing_mm: see :class:`Atlases`; also that of the images.
        num_classes: C, with the background.
        atlases: how many, see :class:`Atlases`.
        registration: by default :class:`Registration` as it is.
        fusion: see :func:`fuse_labels`.
        radius: see :func:`fuse_labels`.
        power: see :func:`fuse_labels`.

    Raises:
        ImportError: without SimpleITK.
        ValueError: for an option out of range.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        preprocessing: Callable[[Any], Any],
        spacing_mm: Sequence[float],
        num_classes: int,
        atlases: int | None = 15,
        registration: Registration | None = None,
        fusion: str = "majority",
        radius: int = 2,
        power: float = 2.0,
    ) -> None:
        super().__init__()
        simple_itk()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, got {fusion!r}")
        self.atlases = Atlases(cases, preprocessing, spacing_mm, atlases)
        self.registration = registration or Registration()
        self.num_classes = num_classes
        self.fusion, self.radius, self.power = fusion, radius, power

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to each class's share of the fused labels, ``(B, C, ...)``."""
        shares = []
        for image in x:
            volume = np.asarray(image.detach().cpu(), np.float32)
            warped = self.atlases.onto(volume, self.registration)
            shares.append(fuse_labels(warped, volume, self.num_classes, self.fusion, self.radius, self.power))
        return convert_to_dst_type(np.stack(shares), x)[0]  # a MetaTensor too, which can be inverted
