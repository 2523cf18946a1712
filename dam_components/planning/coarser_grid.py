"""A grid on which a training window shows enough of the image, as long as the labels survive it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from scipy.ndimage import find_objects
from torch.nn.functional import interpolate
from tqdm import tqdm

from dam_components.data.dataset_layouts import CaseFiles, SourceDataset
from dam_components.planning.case_survey import ras_axes
from dam_components.planning.fingerprint import Fingerprint
from dam_components.planning.label_files import read_label
from dam_components.planning.plan import PATCH_VOXELS, crops_to_nonzero, shapes_in_training
from dam_components.planning.plan_geometry import target_spacing

__all__ = ["coarser_spacings", "dice_on_grid", "plan_spacing", "surviving_spacing"]

LEAST_VIEW = 0.25  # share of the image that a window shows at least; nnU-Net's bound for a low resolution
COARSEST = 2.0  # times the finest target spacing
STEP = 0.1
MOST_LOST = 0.02  # of Dice, by the coarser grid
LABELS = 10  # that are tried
MARGIN = 2  # voxels around a structure, on the coarser grid


def plan_spacing(
    dataset: SourceDataset,
    fingerprint: Fingerprint,
    patch_voxels: int = PATCH_VOXELS,
    crop_nonzero: bool | None = None,
    progress: bool = True,
) -> tuple[float, ...]:
    """The spacing to train at, in mm: the target's, or a coarser one that shows more and that the labels survive.

    Args:
        dataset: whose labels are tried, where that is asked for.
        fingerprint: of it.
        patch_voxels: of a window.
        crop_nonzero: as :func:`~dam_components.planning.plan.make_plan` takes it.
        progress: shows a bar.
    """
    spacing = target_spacing(fingerprint.spacing_mm, fingerprint.shape)
    shapes = shapes_in_training(fingerprint, spacing, crops_to_nonzero(fingerprint, crop_nonzero))
    extent_mm = np.median(shapes, axis=0) * spacing
    tried = coarser_spacings(spacing, extent_mm.tolist(), patch_voxels)
    return surviving_spacing(tried, dataset.cases, dataset.label_values, dataset.label_names, progress)


def coarser_spacings(
    spacing: Sequence[float], extent_mm: Sequence[float], patch_voxels: int
) -> list[tuple[float, ...]]:
    """The spacings to try, from the target's up to the first at which a window shows a quarter of the image.

    The finest axes grow until they meet the next, so that voxels come nearer to cubes.

    Args:
        spacing: the target spacing, in mm.
        extent_mm: of the median image.
        patch_voxels: of a window.

    Example:
        >>> coarser_spacings((1.0, 1.0, 3.0), (60, 60, 60), 20_000)  # it shows more than a quarter as it is
        [(1.0, 1.0, 3.0)]
        >>> coarser_spacings((1.0, 1.0, 3.0), (80, 80, 60), 25_000)
        [(1.0, 1.0, 3.0), (1.1, 1.1, 3.0), (1.2, 1.2, 3.0)]
    """
    tried: list[tuple[float, ...]] = []
    for number in range(round((COARSEST - 1) / STEP) + 1):
        least = min(spacing) * (1 + STEP * number)
        tried.append(tuple(round(max(step, least), 4) for step in spacing))
        if patch_voxels >= LEAST_VIEW * math.prod(size / step for size, step in zip(extent_mm, tried[-1], strict=True)):
            break
    return tried


def surviving_spacing(
    spacings: Sequence[tuple[float, ...]],
    cases: Sequence[CaseFiles],
    classes: Mapping[int, int] | None = None,
    names: Mapping[int, str] | None = None,
    progress: bool = True,
) -> tuple[float, ...]:
    """The coarsest of some spacings that the labels survive: no structure's Dice falls by more than 0.02.

    Ten labels at most are taken to each grid and back. What a structure loses is a mean over those that hold it, beside
    the first spacing.

    Args:
        spacings: from fine to coarse; the first is taken for granted.
        cases: of the dataset.
        classes: of the label's values, see :func:`~dam_components.planning.label_files.read_label`.
        names: of the classes, for a label of one file a structure.
        progress: shows a bar.
    """
    if len(spacings) < 2:
        return spacings[0]
    chosen = [cases[number] for number in np.unique(np.linspace(0, len(cases) - 1, LABELS).astype(int))]
    labels = [_structures(read_label(case, classes, names)) for case in chosen]
    finest = _mean_dice(labels, spacings[0])
    coarsest = spacings[0]
    for spacing in tqdm(spacings[1:], desc="labels on coarser grids", unit="grid", disable=not progress):
        dice = _mean_dice(labels, spacing)
        if any(finest[value] - dice[value] > MOST_LOST for value in finest):
            break
        coarsest = spacing
    return coarsest


def _structures(label: MetaTensor) -> tuple[np.ndarray, list[float]]:
    """The box of a label's structures, and its spacing; axes to the right, the front and the head."""
    order = ras_axes(label)
    values = np.asarray(label[0]).round().transpose(order)
    boxes = find_objects((values > 0).astype(np.uint8))  # none where all is background
    held = values[boxes[0]] if boxes else values[:1, :1, :1]
    return held.astype(np.min_scalar_type(int(values.max()))), [float(label.pixdim[axis]) for axis in order]


def _mean_dice(labels: Sequence[tuple[np.ndarray, list[float]]], spacing: Sequence[float]) -> dict[int, float]:
    """Of each structure, over the labels that hold it."""
    rows: dict[int, list[float]] = {}
    for values, own in labels:
        for value, dice in dice_on_grid(values, own, spacing).items():
            rows.setdefault(value, []).append(dice)
    return {value: float(np.mean(each)) for value, each in rows.items()}


def dice_on_grid(label: np.ndarray, own: Sequence[float], spacing: Sequence[float]) -> dict[int, float]:
    """What the Dice of a segmentation can be on another grid: each structure taken there and back.

    As in training and inference: the nearest voxel on the way there, linear on the way back, and half is inside.

    Args:
        label: class indices, ``(X, Y, Z)``.
        own: its spacing.
        spacing: of the other grid.

    Returns:
        By class, those that the label holds.

    Example:
        >>> block = np.zeros((8, 8, 8), int)
        >>> block[2:6, 2:6, 2:6] = 1
        >>> [round(dice_on_grid(block, (1, 1, 1), (step, step, step))[1], 3) for step in (1, 2)]
        [1.0, 0.933]
    """
    found = {}
    for value, place in enumerate(find_objects(label), start=1):
        if place is None:
            continue
        # the margin is of whole voxels of the coarser grid
        pad = [math.ceil(MARGIN * max(1.0, to / step)) for step, to in zip(own, spacing, strict=True)]
        mask = torch.as_tensor(np.pad(label[place] == value, [(n, n) for n in pad])).float()[None, None]
        size = [max(1, round(n * step / to)) for n, step, to in zip(mask.shape[2:], own, spacing, strict=True)]
        there = interpolate(mask, size=size, mode="nearest-exact")
        back = interpolate(there, size=mask.shape[2:], mode="trilinear", align_corners=False) > 0.5
        both = (back & (mask > 0.5)).sum()
        found[value] = float(2 * both / (back.sum() + mask.sum()))
    return found
