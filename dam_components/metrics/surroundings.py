"""A structure and the voxels around it, where its border could lie instead."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from dam_components.metrics.volume import check_spacing


def structure_zone(mask: torch.Tensor, spacing_mm: Sequence[float], width_mm: float = 3.0) -> torch.Tensor:
    """The voxels of a structure and those within ``width_mm`` of it along every axis.

    The reach is a box, not a ball: it is one running maximum an axis, within the structure's neighbourhood only, and
    so costs next to nothing on any device. For measuring use :func:`~dam_components.metrics.error_band`. An axis whose
    step is larger than ``width_mm`` is not widened. An empty structure has an empty zone.

    Args:
        mask: the structure, boolean, spatial axes only.
        spacing_mm: size of a voxel along each axis.
        width_mm: how far the zone reaches, 0 or more.

    Returns:
        Boolean mask of the same shape, on the same device.

    Raises:
        ValueError: the spacing does not fit, or the width is negative.

    Example:
        >>> structure_zone(torch.tensor([0, 0, 0, 1, 0, 0]) > 0, (2.0,), width_mm=4.5).int()
        tensor([0, 1, 1, 1, 1, 1], dtype=torch.int32)
    """
    check_spacing(spacing_mm, mask.ndim)
    if not 0 <= width_mm < math.inf:
        raise ValueError(f"width_mm must be 0 or more, got {width_mm}.")
    zone = torch.zeros_like(mask, dtype=torch.bool)
    reach = [int(width_mm / s + 1e-9) for s in spacing_mm]
    near = []
    for axis, r in enumerate(reach):
        occupied = mask.moveaxis(axis, 0).flatten(1).any(1) if mask.ndim > 1 else mask
        where = occupied.nonzero().flatten()
        if not len(where):
            return zone
        near.append(slice(max(0, int(where[0]) - r), int(where[-1]) + 1 + r))
    box = zone[tuple(near)]  # a view: what is written here is written there
    box |= mask[tuple(near)].bool()
    for axis, r in enumerate(reach):
        before, length = box.clone(), box.shape[axis]
        for step in range(1, min(r, length - 1) + 1):
            box.narrow(axis, step, length - step).logical_or_(before.narrow(axis, 0, length - step))
            box.narrow(axis, 0, length - step).logical_or_(before.narrow(axis, step, length - step))
    return zone
