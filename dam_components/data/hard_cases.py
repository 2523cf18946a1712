"""Hard test cases: what goes wrong in a scanner, done to a good case by MONAI's transforms."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import (
    BorderPadd,
    Compose,
    MapTransform,
    NormalizeIntensityd,
    RandAdjustContrastd,
    RandBiasFieldd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandHistogramShiftd,
    RandKSpaceSpikeNoised,
    ScaleIntensityd,
    SpatialCropd,
    generate_spatial_bounding_box,
)

__all__ = ["HARD_KINDS", "HardCased"]

HARD_KINDS: dict[str, str] = {
    "noise": "white Gaussian noise, as strong as the image's own contrast",
    "bias_field": "a smooth multiplicative field, polynomials of degree 3",
    "motion": "blur along one axis and a spike in k-space, which lays stripes over the image",
    "contrast": "a gamma that crushes dark or bright tissue, and a shifted histogram",
    "inversion": "dark tissue bright and bright tissue dark, and a gamma: another sequence",
    "shifted_crop": "the field of view shifted, so that a third of the structure's extent along one axis is cut off",
}


class HardCased(MapTransform):
    """Makes a preprocessed case hard: noise, bias field, motion, wrong contrast or a shifted crop.

    The image is brought to [0, 1], spoilt, and normalised to mean 0 and standard deviation 1 again, as an
    image spoilt in the scanner would be. ``shifted_crop`` crops image and label alike, and pads both with zeros on the
    other side, so that shapes stay. What is drawn depends on ``seed``, the kind and the case's name alone, so a case
    is made hard in the same way in any order and any process. The input is left as it is.

    Shapes: image ``(C, ...)`` and label ``(1, ...)`` of the same spatial shape, 2D or 3D, in and out.

    Args:
        keys: the image and the label.
        kind: one of :data:`HARD_KINDS`.
        severity: 1 is hard, 0.5 half as far; shifted_crop takes at most 2.
        seed: of the whole set of hard cases.
        case_key: the case's name in the data.

    Raises:
        ValueError: for an unknown kind, a severity that is not positive, or keys that are not two.

    Example:
        >>> import torch
        >>> case = {"image": torch.rand(1, 8, 8, 8), "label": torch.ones(1, 8, 8, 8), "case": "a"}
        >>> hard = HardCased(("image", "label"), "noise", seed=3)
        >>> bool((hard(case)["image"] == hard(case)["image"]).all()), bool((hard(case)["image"] == case["image"]).any())
        (True, False)
    """

    def __init__(
        self,
        keys: Sequence[Hashable],
        kind: str,
        severity: float = 1.0,
        seed: int = 0,
        case_key: Hashable = "case",
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 2:
            raise ValueError(f"keys must name the image and the label, got {list(self.keys)}")
        if kind not in HARD_KINDS:
            raise ValueError(f"kind must be one of {', '.join(HARD_KINDS)}, got {kind!r}")
        if not 0 < severity < math.inf or (kind == "shifted_crop" and severity > 2):
            raise ValueError(f"severity must be positive, and at most 2 for shifted_crop, got {severity}: 1 is hard")
        self.kind = kind
        self.severity = severity
        self.seed = seed
        self.case_key = case_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        text = f"{self.seed}/{self.kind}/{data[self.case_key]}"
        draw = np.random.RandomState(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big"))
        fault = FAULTS[self.kind](self.keys[0], self.keys[1], self.severity, draw, data)
        spoil = Compose(
            [
                ScaleIntensityd(self.keys[0], channel_wise=True),
                *fault,
                NormalizeIntensityd(self.keys[0], channel_wise=True),
            ]
        )
        spoil.set_random_state(seed=int(draw.randint(2**31)))
        return spoil(dict(data))


def noise(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """Gaussian noise."""
    # against the structure of an image in [0, 1], whose standard deviation is about 0.15 to 0.2
    return [RandGaussianNoised(image, prob=1, std=0.2 * severity, sample_std=False)]


def bias_field(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """A field that brightens some parts and darkens others."""
    return [RandBiasFieldd(image, prob=1, degree=3, coeff_range=(-0.5 * severity, 0.5 * severity))]


def motion(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """A patient who moves: blur along one axis, and a wave over the image."""
    spatial = data[image].shape[1:]
    sigmas = [(0.1, 0.1)] * 3
    sigmas[draw.randint(len(spatial))] = (1.0 * severity, 2.0 * severity)
    # a spike of magnitude a N is a wave of amplitude about a in an image of N voxels
    wave = [math.log(amplitude * severity * math.prod(spatial)) for amplitude in (0.15, 0.3)]
    return [
        RandGaussianSmoothd(image, prob=1, sigma_x=sigmas[0], sigma_y=sigmas[1], sigma_z=sigmas[2]),
        RandKSpaceSpikeNoised(image, prob=1, intensity_range=wave),
    ]


def contrast(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """Another gamma, and a shifted histogram."""
    gamma = (1 + 1.0 * severity, 1 + 2.0 * severity)
    if draw.rand() < 0.5:
        gamma = (1 / gamma[1], 1 / gamma[0])
    return [
        RandAdjustContrastd(image, prob=1, gamma=gamma),
        RandHistogramShiftd(image, prob=1, num_control_points=5),
    ]


def inversion(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """Bright and dark exchanged, as between T1 and T2."""
    return [
        ScaleIntensityd(image, minv=1, maxv=0, channel_wise=True),
        RandAdjustContrastd(image, prob=1, gamma=(1, 1 + severity)),
    ]


def shifted_crop(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """A crop that is off its place and cuts the structures."""
    both, spatial = (image, label), data[label].shape[1:]
    low, high = generate_spatial_bounding_box(data[label])
    if not any(high):  # nothing labelled: take the volume for the structure
        low, high = [0] * len(spatial), list(spatial)
    axis, from_start = draw.randint(len(spatial)), draw.rand() < 0.5
    cut = round(severity / 3 * (high[axis] - low[axis]))
    start, end = [0] * len(spatial), list(spatial)
    border = [0] * (2 * len(spatial))
    if from_start:
        start[axis] = low[axis] + cut
        border[2 * axis + 1] = start[axis]
    else:
        end[axis] = high[axis] - cut
        border[2 * axis] = spatial[axis] - end[axis]
    # normalised before the padding, so that 0 is the mean, what S was trained to see beyond a border
    return [
        SpatialCropd(both, roi_start=start, roi_end=end),
        NormalizeIntensityd(image, channel_wise=True),
        BorderPadd(both, border, mode="constant"),
    ]


Fault = Callable[[Hashable, Hashable, float, np.random.RandomState, Mapping], list]
FAULTS: dict[str, Fault] = {
    "noise": noise,
    "bias_field": bias_field,
    "motion": motion,
    "contrast": contrast,
    "inversion": inversion,
    "shifted_crop": shifted_crop,
}
