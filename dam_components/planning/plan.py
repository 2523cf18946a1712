"""How to train on a dataset, by rules. The anchor is nnU-Net (Isensee et al., Nature Methods 18, 203-211, 2021).

============== ======================================================================================================
target spacing the median of each axis; of a thick axis (more than 3 times the next coarsest spacing, less than a
               third of the next smallest size) the 10th percentile, so that thin slices are not thrown away, but no
               finer than the other axes. Where a window of ``patch_voxels`` shows less than a quarter of the median
               image, the finest axes are coarsened until it does, twice at most, and as far as the labels survive:
               :mod:`dam_components.planning.coarser_grid`. From the same quarter on nnU-Net adds a network at low
               resolution, without a look at the labels
patch          as much of the median image as ``patch_voxels`` allow, in its proportions: from a cube in mm of 256**3
               voxels, cut to the image, the axis that shows the largest share of it shrinks first. Divisible by the
               strides. nnU-Net fills a GPU's memory; the default here suits a CPU and is a setting
strides        three at most (S has dilated modules in place of more depth). An axis is not strided while its spacing
               is more than twice the finest, or if fewer than 4 voxels would be left of it
channels       16, doubled at each stride
batch          one patch, which a CPU's time is best spent on; from a million ``patch_voxels`` on as many as twice those
               hold, from 2 (nnU-Net's least) to 8. Where an image holds two patches or more, a step takes them from
               one case, else each from another
box            where cropping to the box of the voxels that are not 0 leaves less than three quarters of the median
               case, cases are cropped to it, and normalised by the voxels in it that are not 0. CT is never cropped.
               nnU-Net always crops, and normalises so from the same share on
normalisation  all channels CT: cut at the percentiles 0.5 and 99.5 of the structures' voxels over all cases, then
               minus their mean, over their standard deviation (CT's units mean the same everywhere). Else: each
               image and channel to mean 0 and standard deviation 1. A set with CT and another modality goes by the
               latter, which nnU-Net decides by channel
flips          left and right, unless a label's name says a side (left, Left-, lh, _l, L ...). nnU-Net flips all axes
rotation       15 degrees about each axis; about the short axis alone where a patch is more than 3 times as long as
               it is short, since out of plane it would mix thick slices
overlap        half a patch
largest piece  of what is predicted as a structure only the largest connected piece is kept, if in every case that has
               the structure 99 % of it are one piece. nnU-Net finds this out by validation, which costs a training
epochs         as many as make 5000 steps, 20 to 500; validation about 20 times
weights        the last epoch's, as nnU-Net keeps them, where fewer than 10 cases validate: so few choose little but
               luck. Else those of the best validation
folds          five (fewer if there are fewer cases). A tenth of the cases validates, and at least nine (which intervals
               of predicted Dice need to hold 90 %), or three tenths where that is fewer. nnU-Net validates on the fold.
               Of one or two cases none is left out: all train
cache          the share of the cases that ``cache_gb`` hold in memory
============== ======================================================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dam_components.planning.dataset_check import LEAST_CASES
from dam_components.planning.fingerprint import Fingerprint
from dam_components.planning.plan_geometry import ANISOTROPIC, patch_and_strides, resampled_shape, target_spacing

__all__ = [
    *("PATCH_VOXELS", "CtRange", "Plan", "crops_to_nonzero", "make_plan", "plan_batch", "plan_rotation"),
    "shapes_in_training",
]

PATCH_VOXELS = 65_536  # for a CPU
SEVERAL_FROM = 1_000_000  # patch_voxels of a GPU
STEPS = 5000
ROTATION = 0.26  # 15 degrees
SIDES = ("left", "right", "lh", "rh", "lt", "rt", "links", "rechts", "gauche", "droit", "droite")
SIDES_AND_LETTERS = frozenset((*SIDES, "l", "r"))
NONZERO_SHARE = 0.75
LEAST_TO_CALIBRATE = 9  # cases for intervals that hold 90 %
ONE_PIECE = 0.99
FEW_TO_CHOOSE_BY = 10


@dataclass(frozen=True)
class CtRange:
    """Where CT is cut, and the mean and standard deviation that it is normalised by."""

    low: float
    high: float
    mean: float
    sd: float


@dataclass(frozen=True)
class Plan:
    """Values of the bundle's symbols. ``ct`` is ``None`` for normalisation by each image."""

    spacing: list[float]
    patch_size: list[int]
    strides: list[list[int] | int]
    channels: list[int]
    batch_size: int
    patches_per_case: int
    rotation: list[float]
    flip: bool
    overlap: float
    largest_component: list[int]
    epochs: int
    val_interval: int
    keep_last: bool
    folds: dict[str, int]
    cache_rate: float
    ct: CtRange | None
    median_shape: list[int]
    crop_nonzero: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def make_plan(
    fingerprint: Fingerprint,
    patch_voxels: int = PATCH_VOXELS,
    cache_gb: float = 8.0,
    crop_nonzero: bool | None = None,
    patients: int | None = None,
    spacing: Sequence[float] | None = None,
    several_from: int = SEVERAL_FROM,
) -> Plan:
    """The plan that this module's rules give.

    Args:
        fingerprint: of the dataset.
        patch_voxels: most voxels of a patch; 65 536 for a CPU, 2 000 000 (128 cubed) for a GPU of 24 GB or more.
        cache_gb: memory for prepared cases.
        crop_nonzero: crop to the box of what is not 0; ``None``: by the rule.
        patients: how many the cases are of; ``None``: each is of another one.
        spacing: of :func:`~dam_components.planning.coarser_grid.plan_spacing`; ``None``: the target spacing.
        several_from: ``patch_voxels`` from which on a step takes several patches.

    Raises:
        ValueError: a setting out of range, or images too small.
    """
    if patch_voxels < 4096:
        raise ValueError(f"patch_voxels must be at least 4096 (16 x 16 x 16), got {patch_voxels}")
    if cache_gb <= 0:
        raise ValueError(f"cache_gb must be positive, got {cache_gb}")
    if spacing is None:
        spacing = target_spacing(fingerprint.spacing_mm, fingerprint.shape)
    crop = crops_to_nonzero(fingerprint, crop_nonzero)
    shapes = shapes_in_training(fingerprint, spacing, crop)
    shape = [round(float(n)) for n in np.median(shapes, axis=0)]
    patch, strides = patch_and_strides(shape, spacing, patch_voxels)
    batch_size, patches_per_case = plan_batch(math.prod(shape), math.prod(patch), patch_voxels, several_from)

    cases = fingerprint.cases
    folds, validation, tested = plan_split(cases, patients)
    steps_an_epoch = max(1, (cases - tested - validation) // batch_size)
    epochs = min(500, max(20, round(STEPS / steps_an_epoch)))
    case_gb = float(np.prod(shapes, axis=1).mean()) * 4 * (len(fingerprint.channel_names) + 1) / 1e9  # float32
    return Plan(
        spacing=list(spacing),
        patch_size=list(patch),
        strides=[stride[0] if len({*stride}) == 1 else list(stride) for stride in strides],
        channels=[16 * 2**stage for stage in range(len(strides) + 1)],
        batch_size=batch_size,
        patches_per_case=patches_per_case,
        rotation=plan_rotation(patch),
        flip=not any(map(names_a_side, fingerprint.label_names.values())),
        overlap=0.5,
        largest_component=[int(v) for v, share in fingerprint.largest_piece.items() if share >= ONE_PIECE],
        epochs=epochs,
        val_interval=max(1, epochs // 20),
        keep_last=validation < FEW_TO_CHOOSE_BY,
        folds={"fold": 0, "folds": folds, "validation": validation, "seed": 0},
        cache_rate=min(1.0, math.floor(100 * cache_gb / (case_gb * cases)) / 100),
        ct=_ct_range(fingerprint) if fingerprint.ct else None,
        median_shape=shape,
        crop_nonzero=crop,
    )


def plan_split(cases: int, patients: int | None = None) -> tuple[int, int, int]:
    """Folds, cases of a fold that validate, and most that it tests. Folds divide the patients.

    Example:
        >>> plan_split(30), plan_split(10), plan_split(3), plan_split(1)
        ((5, 9, 6), (5, 3, 2), (3, 1, 1), (1, 0, 0))
        >>> plan_split(8, patients=4), plan_split(8, patients=2)
        ((4, 2, 2), (1, 0, 0))
    """
    apart = cases if patients is None else patients
    if apart < LEAST_CASES:
        return 1, 0, 0
    folds = min(5, apart)
    return folds, max(1, min(LEAST_TO_CALIBRATE, round(0.3 * cases)), round(cases / 10)), math.ceil(cases / folds)


def names_a_side(name: str) -> bool:
    """Whether a structure's name says left or right, however it is written.

    Example:
        >>> [names_a_side(name) for name in ("Left-Hippocampus", "LeftLung", "ctx-lh-insula", "L kidney", "liver")]
        [True, True, True, True, False]
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*", name)]
    joined = any(word.startswith(SIDES[:2]) or word.endswith(SIDES[:2]) for word in words)
    return joined or not SIDES_AND_LETTERS.isdisjoint(words)


def crops_to_nonzero(fingerprint: Fingerprint, asked: bool | None = None) -> bool:
    """What is asked for; else whether the box of what is not zero is less than three quarters of the median case.

    CT is not cropped by itself: there 0 is water.
    """
    if asked is not None:
        return bool(asked)
    shares = np.prod(fingerprint.box, axis=1) / np.prod(fingerprint.shape, axis=1)
    return not fingerprint.ct and bool(np.median(shares) < NONZERO_SHARE)


def shapes_in_training(fingerprint: Fingerprint, spacing: Sequence[float], crop: bool) -> np.ndarray:
    """Voxels of each case, ``(cases, 3)``, on a grid: of the whole image, or of the box of what is not zero."""
    return resampled_shape(fingerprint.spacing_mm, fingerprint.box if crop else fingerprint.shape, spacing)


def plan_batch(image_voxels: int, patch_voxels: int, budget: int, several_from: int = SEVERAL_FROM) -> tuple[int, int]:
    """Cases a step and patches a case.

    Example:
        >>> plan_batch(63_000, 61_440, 65_536)  # a CPU's
        (1, 1)
        >>> plan_batch(900_000, 900_000, 2_000_000)  # four million voxels hold four patches, an image just one
        (4, 1)
        >>> plan_batch(7_000_000, 1_966_080, 2_000_000)  # an image holds three
        (1, 2)
    """
    patches = 1 if budget < several_from else min(8, max(2, 2 * budget // patch_voxels))
    return (1, patches) if image_voxels >= 2 * patch_voxels else (patches, 1)


def plan_rotation(patch: tuple[int, ...]) -> list[float]:
    """Largest angle about each axis, in radians.

    Example:
        >>> plan_rotation((96, 96, 16)), plan_rotation((48, 48, 16))
        ([0.0, 0.0, 0.26], [0.26, 0.26, 0.26])
    """
    short = min(range(len(patch)), key=lambda axis: patch[axis])
    flat = max(patch) > ANISOTROPIC * patch[short]
    return [0.0 if flat and axis != short else ROTATION for axis in range(len(patch))]


def _ct_range(fingerprint: Fingerprint) -> CtRange:
    """Over all channels, which hold as many voxels each."""
    inside = fingerprint.inside
    mean = sum(channel.mean for channel in inside) / len(inside)
    variance = sum(channel.sd**2 + (channel.mean - mean) ** 2 for channel in inside) / len(inside)
    low, high = min(channel.low for channel in inside), max(channel.high for channel in inside)
    if high <= low:
        raise ValueError(f"all voxels of the structures have the value {low:g}: this cannot be CT; name --modality MR")
    return CtRange(low, high, round(mean, 4), round(math.sqrt(variance), 4))
