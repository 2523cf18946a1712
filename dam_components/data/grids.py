"""Whether two volumes lie on one grid."""

from __future__ import annotations

from itertools import product

import numpy as np
from monai.data import MetaTensor

__all__ = ["SAME_GRID", "WHOLE_SHIFT", "corner_shift_mm", "grid_shift"]

SAME_GRID = 0.01  # of a voxel: what is closer is rounding
WHOLE_SHIFT = 0.5  # of a voxel: from here on a voxel lies nearer to another one's place


def corner_shift_mm(first: MetaTensor, second: MetaTensor) -> float:
    """How far the corners of two volumes of one shape lie apart at most, in mm.

    Example:
        >>> import torch
        >>> wide = torch.diag(torch.tensor([2.0, 1.0, 1.0, 1.0]))
        >>> corner_shift_mm(MetaTensor(torch.zeros(1, 4, 4, 4)), MetaTensor(torch.zeros(1, 4, 4, 4), affine=wide))
        3.0
    """
    corners = np.array([[*corner, 1] for corner in product(*((0, n - 1) for n in first.shape[1:]))], float).T
    first_affine, second_affine = (np.asarray(volume.affine, float) for volume in (first, second))
    size = len(corners)  # an image of two axes has an affine for three
    matrix = first_affine - second_affine
    difference = np.delete(matrix, range(size - 1, matrix.shape[1] - 1), axis=1) @ corners
    return float(np.linalg.norm(difference[:-1], axis=0).max())


def grid_shift(image: MetaTensor, other: MetaTensor) -> tuple[float, str]:
    """How far another volume lies beside the image, in voxels of the finest axis, and in words.

    Mirrored axes are told by name: a flipped header is the fault that no picture of the voxels shows.

    Example:
        >>> import torch
        >>> mirrored = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
        >>> grid_shift(MetaTensor(torch.zeros(1, 4, 4, 4)), MetaTensor(torch.zeros(1, 4, 4, 4), affine=mirrored))
        (6.0, 'is mirrored along axis 0 against')
    """
    shift, voxel = corner_shift_mm(image, other), float(min(image.pixdim))
    axes, others = (np.asarray(v.affine, float)[:3, :3] for v in (image, other))
    with np.errstate(all="ignore"):
        turned = [axis for axis in range(axes.shape[1]) if _cosine(axes[:, axis], others[:, axis]) < -0.5]
        sizes = np.linalg.norm(axes, axis=0), np.linalg.norm(others, axis=0)
    if turned:
        words = f"is mirrored along {'axis' if len(turned) == 1 else 'axes'} {', '.join(map(str, turned))} against"
    elif not np.allclose(*sizes, rtol=0.01):
        words = "has voxels of " + " x ".join(f"{size:.4g}" for size in sizes[1]) + " mm, unlike"
    else:
        words = f"lies up to {shift:.3g} mm beside"
    return shift / voxel, words


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
