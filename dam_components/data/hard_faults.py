"""What goes wrong in a scanner or on the way from it, as MONAI's transforms of an image in [0, 1] and its label.

Each fault takes the keys of image and label, the severity (1 is hard), a source of chance, and the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    BorderPadd,
    GibbsNoised,
    Lambdad,
    NormalizeIntensityd,
    RandAdjustContrastd,
    RandBiasFieldd,
    RandCoarseDropoutd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandGridDistortiond,
    RandHistogramShiftd,
    RandKSpaceSpikeNoised,
    Resized,
    Rotated,
    ScaleIntensityd,
    ScaleIntensityRangePercentilesd,
    SpatialCropd,
    Zoomd,
    generate_spatial_bounding_box,
)

__all__ = ["FAULTS", "Fault"]


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


def blur(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """Blur along all axes."""
    sigma = (1.0 * severity, 2.0 * severity)
    return [RandGaussianSmoothd(image, prob=1, sigma_x=sigma, sigma_y=sigma, sigma_z=sigma)]


def thick_slices(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """Slices two to five times as thick along one axis."""
    spatial = list(data[image].shape[1:])
    axis = draw.randint(len(spatial))
    coarse = list(spatial)
    coarse[axis] = max(2, round(spatial[axis] / (1 + severity * draw.uniform(1, 4))))
    return [Resized(image, coarse, mode="area"), Resized(image, spatial, mode="nearest")]


def ringing(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """The outer part of k-space is missing."""
    return [GibbsNoised(image, alpha=min(1 - 0.25 / max(severity, 0.4), 0.9) * draw.uniform(0.9, 1.05))]


def ghosting(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """A copy of the image, half a field of view away, lies over it."""
    spatial = data[image].shape[1:]
    axis, strength = draw.randint(len(spatial)), severity * draw.uniform(0.3, 0.7)

    def ghost(values: torch.Tensor) -> torch.Tensor:
        return values + strength * values.roll(spatial[axis] // 2, 1 + axis)

    return [Lambdad(image, ghost)]


def saturation(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """Bright tissue all alike, as with a full receiver or a narrow window."""
    upper = max(100 - severity * draw.uniform(25, 60), 5)
    return [ScaleIntensityRangePercentilesd(image, 0, upper, 0, 1, clip=True, channel_wise=True)]


def hot_spot(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """A few voxels far brighter than all tissue: metal, a vessel, a defect. The rest is left little contrast."""
    spatial = data[image].shape[1:]
    size = [max(1, round(n * 0.06)) for n in spatial]
    most = [max(2, round(n * 0.12)) for n in spatial]
    value = 1 + severity * draw.uniform(3, 9)
    return [RandCoarseDropoutd(image, 2, size, True, value, max_holes=4, max_spatial_size=most, prob=1)]


def blackout(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """Boxes without a signal."""
    spatial = data[image].shape[1:]
    size, most = ([min(n, max(1, round(n * share * severity))) for n in spatial] for share in (0.2, 0.5))
    return [RandCoarseDropoutd(image, 2, size, True, 0.0, max_holes=5, max_spatial_size=most, prob=1)]


def half_lost(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """No signal from one side of the image up to its middle, the label as it was."""
    spatial = data[image].shape[1:]
    axis, from_start = draw.randint(len(spatial)), draw.rand() < 0.5
    lost = min(round(spatial[axis] * severity * draw.uniform(0.35, 0.6)), spatial[axis] - 1)

    def darken(values: torch.Tensor) -> torch.Tensor:
        dark = values.clone()
        dark.narrow(1 + axis, 0 if from_start else spatial[axis] - lost, lost).zero_()
        return dark

    return [Lambdad(image, darken)]


def turn(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """A quarter of a turn about one axis: a wrong orientation in the header."""
    angle = draw.choice([-1, 1]) * severity * math.pi / 2
    angles = [0.0, 0.0, 0.0]
    angles[draw.randint(3)] = angle
    flat = data[image].ndim == 3
    return [Rotated((image, label), angle if flat else angles, mode=("bilinear", "nearest"), padding_mode="zeros")]


def zoom(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """Everything larger or smaller: a wrong spacing in the header."""
    factor = 1 + severity * draw.uniform(0.25, 0.6)
    if draw.rand() < 0.5:
        factor = 1 / factor
    mode = "bilinear" if data[image].ndim == 3 else "trilinear"
    return [Zoomd((image, label), factor, mode=(mode, "nearest"), padding_mode="constant")]


def distortion(image: Hashable, label: Hashable, severity: float, draw: np.random.RandomState, data: Mapping) -> list:
    """The image stretched here and squeezed there, and the label with it."""
    limit = min(0.6 * severity, 0.95)
    both = (image, label)
    modes: Any = ("bilinear", "nearest")  # one a key, which its annotation does not know
    return [RandGridDistortiond(both, 4, 1.0, (-limit, limit), mode=modes, padding_mode="border")]


Fault = Callable[[Hashable, Hashable, float, np.random.RandomState, Mapping], list]
FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        noise,
        bias_field,
        motion,
        contrast,
        inversion,
        shifted_crop,
        blur,
        thick_slices,
        ringing,
        ghosting,
        saturation,
        hot_spot,
        blackout,
        half_lost,
        turn,
        zoom,
        distortion,
    )
}
