"""Spacing, patch and strides from what the images are like: the pure part of :mod:`dam_components.planning.plan`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["ANISOTROPIC", "patch_and_strides", "resampled_shape", "stage_strides", "target_spacing"]

ANISOTROPIC = 3.0  # ratio of spacings, or of sizes, above which an axis is a thick one
LEAST_FEATURES = 4  # voxels that an axis keeps at the smallest feature maps
LEAST_PATCH = 8  # an axis is not cut below this to meet the budget
START_VOXELS = 256**3


def target_spacing(spacing_mm: Sequence[Sequence[float]], shape: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """The median spacing of each axis; of a thick axis the 10th percentile, but no finer than the other axes.

    An axis is thick if its median spacing is more than 3 times the next coarsest and its median size, at that, less
    than a third of the next smallest.

    Args:
        spacing_mm: of each case, (cases, 3).
        shape: voxels of each case, (cases, 3).

    Example:
        >>> target_spacing([[1, 1, 5], [1, 1, 5], [1, 1, 3.5]], [[100, 100, 20]] * 3)  # 3.5 + 0.2 * (5 - 3.5)
        (1.0, 1.0, 3.8)
    """
    spacings = np.asarray(spacing_mm, float)
    target = np.median(spacings, axis=0)
    size = np.median(resampled_shape(spacings, shape, target), axis=0)
    thick = int(np.argmax(target))
    rest = [axis for axis in range(len(target)) if axis != thick]
    if target[thick] > ANISOTROPIC * target[rest].max() and ANISOTROPIC * size[thick] < size[rest].min():
        target[thick] = max(np.percentile(spacings[:, thick], 10), target[rest].max())
    return tuple(round(float(step), 4) for step in target)


def resampled_shape(
    spacing_mm: Sequence[Sequence[float]] | np.ndarray, shape: Sequence[Sequence[int]], target: Sequence[float]
) -> np.ndarray:
    """Voxels of each case at the target spacing, (cases, 3).

    Example:
        >>> resampled_shape([[2, 2, 3]], [[10, 20, 30]], [1, 1, 3]).tolist()
        [[20, 40, 30]]
    """
    extent = np.asarray(spacing_mm, float) * np.asarray(shape, float)
    return np.maximum(1, np.rint(extent / np.asarray(target, float))).astype(int)


def stage_strides(patch: Sequence[int], spacing: Sequence[float], most: int = 3) -> list[tuple[int, ...]]:
    """The step from each stage to the next, until ``most`` or until no axis can be halved.

    An axis is not halved while its spacing is more than twice the finest one of the axes that can be, or if fewer than
    four voxels would be left of it.

    Example:
        >>> stage_strides((96, 96, 16), (1.25, 1.25, 3.0))  # 3 is more than 2 x 1.25
        [(2, 2, 1), (2, 2, 2), (2, 2, 2)]
    """
    size, step = list(patch), list(spacing)
    strides: list[tuple[int, ...]] = []
    while len(strides) < most:
        able = [axis for axis in range(len(size)) if math.ceil(size[axis] / 2) >= LEAST_FEATURES]
        if not able:
            break
        finest = min(step[axis] for axis in able)
        stride = tuple(2 if axis in able and step[axis] <= 2 * finest else 1 for axis in range(len(size)))
        size = [math.ceil(n / s) for n, s in zip(size, stride, strict=True)]
        step = [n * s for n, s in zip(step, stride, strict=True)]
        strides.append(stride)
    return strides


def patch_and_strides(
    shape: Sequence[int], spacing: Sequence[float], voxels: int
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The largest patch under a budget that keeps the images' proportions and is divisible by its strides.

    It starts as a cube in mm of 256**3 voxels, cut to the median image. While it has too many voxels, the axis that
    shows the largest share of the image loses one multiple of its total stride.

    Args:
        shape: voxels of the median image at the target spacing.
        spacing: the target spacing.
        voxels: the budget.

    Raises:
        ValueError: the images are too small for a network with a stride.

    Example:
        >>> patch_and_strides((36, 50, 35), (1, 1, 1), 150_000)  # rounded up to multiples of 8
        ((40, 56, 40), [(2, 2, 2), (2, 2, 2), (2, 2, 2)])
    """
    edge_mm = (START_VOXELS * math.prod(spacing)) ** (1 / len(spacing))
    patch = [max(1, min(n, round(edge_mm / step))) for n, step in zip(shape, spacing, strict=True)]
    while True:
        strides = stage_strides(patch, spacing)
        if not strides:
            raise ValueError(
                f"the median image has {' x '.join(map(str, shape))} voxels at the target spacing; a network with a "
                f"stride needs {2 * LEAST_FEATURES - 1} along one axis at least: take larger images"
            )
        total = [math.prod(stride[axis] for stride in strides) for axis in range(len(patch))]
        rounded = [math.ceil(n / step) * step for n, step in zip(patch, total, strict=True)]
        spare = [axis for axis in range(len(patch)) if rounded[axis] - total[axis] >= LEAST_PATCH]
        if math.prod(rounded) <= voxels or not spare:
            return tuple(rounded), strides
        axis = max(spare, key=lambda a: rounded[a] / shape[a])
        patch[axis] = rounded[axis] - total[axis]
