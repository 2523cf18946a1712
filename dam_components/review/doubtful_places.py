"""Where to look in a case: its connected doubtful places, the worst first."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from nibabel.affines import voxel_sizes
from nibabel.orientations import io_orientation
from scipy import ndimage

from dam_components.metrics import structure_zone

__all__ = ["doubtful_places", "place_in_view"]


def doubtful_places(
    segmentation: np.ndarray,
    doubt: np.ndarray,
    affine: np.ndarray,
    threshold: float = 0.5,
    band_mm: float = 3.0,
    count: int = 50,
) -> list[dict[str, Any]]:
    """Connected voxels whose doubt exceeds the threshold in the structures or within ``band_mm`` of them.

    Voxels that share a corner are connected. Places are ordered by their sum of doubt, which is the expected number of
    wrong voxels. Each is found at its voxel with the largest mean doubt over its neighbours. Where no voxel exceeds
    the threshold, the most doubtful voxel is the only place. Without any structure all voxels count.

    Args:
        segmentation: classes, ``(X, Y, Z)``.
        doubt: 1 - M, the same shape.
        affine: of both, mm.
        threshold: 0.5: more likely wrong than right.
        band_mm: as in the review picture.
        count: places at most.

    Returns:
        Of each place ``voxel`` (in the file's axes), ``view`` (see :func:`place_in_view`), ``doubt`` (the largest in
        it) and ``volume_ml``.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> doubt = np.zeros((4, 4, 4)); doubt[0, 0, 0] = 0.6; doubt[3, 3, 2:] = 0.9
        >>> [place["voxel"] for place in doubtful_places(np.zeros((4, 4, 4), int), doubt, np.eye(4))]
        [[3, 3, 3], [0, 0, 0]]
    """
    if segmentation.shape != doubt.shape:
        raise ValueError(f"the segmentation has shape {segmentation.shape}, the map {doubt.shape}")
    spacing = voxel_sizes(affine)
    zone = structure_zone(torch.from_numpy(np.ascontiguousarray(segmentation > 0)), spacing.tolist(), band_mm).numpy()
    within = doubt * zone if zone.any() else doubt
    pieces, found = ndimage.label(within > threshold, structure=np.ones((3, 3, 3)))
    if not found:
        pieces = np.zeros(doubt.shape, int)
        pieces[np.unravel_index(within.argmax(), doubt.shape)] = 1
    mean = ndimage.uniform_filter(within, 3)
    labels = np.arange(1, max(found, 1) + 1)
    sums = ndimage.sum_labels(within, pieces, labels)
    order = np.argsort(-sums, kind="stable")[:count]
    chosen = labels[order]
    voxels = ndimage.maximum_position(mean, pieces, chosen)
    largest = ndimage.maximum(within, pieces, chosen)
    sizes = np.bincount(pieces.ravel(), minlength=len(labels) + 1)[chosen] * spacing.prod() / 1000
    return [
        {
            "voxel": [int(v) for v in voxel],
            "view": place_in_view(voxel, doubt.shape, affine),
            "doubt": round(float(peak), 4),
            "volume_ml": round(float(size), 4),
        }
        for voxel, peak, size in zip(voxels, largest, sizes, strict=True)
    ]


def place_in_view(voxel: tuple[int, ...], shape: tuple[int, ...], affine: np.ndarray) -> list[float]:
    """The centre of a voxel in the viewer's box: 0 to 1 from left to right, back to front and foot to head.

    Example:
        >>> place_in_view((0, 1, 0), (2, 2, 1), np.diag([-1, 1, 1, 1]))
        [0.75, 0.75, 0.5]
    """
    view = [0.5, 0.5, 0.5]
    for axis, (world, sign) in enumerate(io_orientation(affine)):
        share = (voxel[axis] + 0.5) / shape[axis]
        view[int(world)] = float(share if sign > 0 else 1 - share)
    return view
