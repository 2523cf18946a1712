"""Apex, middle and base of a structure: thirds along the axial axis of its reference label."""

from __future__ import annotations

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import ArrayLike

REGIONS = ("apex", "middle", "base")


def axial_thirds(label: ArrayLike, axis: int = -1, apex_first: bool = True) -> dict[str, slice]:
    r"""Split the axial axis into apex, middle and base by the extent of a reference label.

    The extent runs from the first to the last slice that holds foreground; empty slices between them count. Of its
    :math:`n` slices apex and base get :math:`\mathrm{round}(n/3)` each and the middle the rest (14 slices: 5, 4, 5;
    2 slices: 1, 0, 1; 1 slice: 0, 1, 0). Apex and base reach to the ends of the axis, so the three slabs part the
    whole axis and a prediction that overshoots the label is counted against the end it overshoots. A label without
    foreground has no extent: then the axis itself is parted.

    Args:
        label: reference label of one structure, any shape; everything that is not 0 is foreground.
        axis: the axial axis.
        apex_first: whether slice 0 lies at the apex (caudal) end; :func:`apex_is_first` reads it from an affine.

    Returns:
        A slice along ``axis`` for each of ``"apex"``, ``"middle"``, ``"base"``.

    Raises:
        ValueError: ``axis`` is not an axis of ``label``.

    Example:
        >>> label = np.zeros((1, 1, 12))
        >>> label[..., 2:8] = 1
        >>> axial_thirds(label)
        {'apex': slice(0, 4, None), 'middle': slice(4, 6, None), 'base': slice(6, 12, None)}
    """
    foreground = np.asarray(label) != 0
    if not -foreground.ndim <= axis < foreground.ndim:
        raise ValueError(f"axis must be an axis of the label with shape {foreground.shape}, got {axis}.")
    axis %= foreground.ndim
    occupied = np.flatnonzero(foreground.any(axis=tuple(a for a in range(foreground.ndim) if a != axis)))
    length = foreground.shape[axis]
    first, last = (int(occupied[0]), int(occupied[-1])) if occupied.size else (0, length - 1)
    outer = round((last - first + 1) / 3)
    low, high = first + outer, last + 1 - outer
    slabs = (slice(0, low), slice(low, high), slice(high, length))
    return dict(zip(REGIONS, slabs if apex_first else slabs[::-1], strict=True))


def axial_axis(affine: ArrayLike) -> int:
    """The axis of a volume along which its axial slices lie, whatever way the file stores it.

    Args:
        affine: as of :func:`apex_is_first`.

    Example:
        >>> axial_axis(np.eye(4))
        2
        >>> axial_axis(np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]))  # sagittal slices
        1
    """
    return int(np.flatnonzero(io_orientation(np.asarray(affine, dtype=float))[:, 0] == 2)[0])


def apex_is_first(affine: ArrayLike, axis: int = -1) -> bool:
    """Whether slice 0 of the axial axis is the caudal one, where the apex of the prostate lies.

    Args:
        affine: 4x4 matrix from voxel indices to world millimetres with the third world axis pointing to the head:
            RAS, as in NIfTI, nibabel and MONAI, and LPS, as in ITK, agree on it.
        axis: the axial axis of the volume.

    Raises:
        ValueError: the matrix is not 4x4, or the axis does not run mainly from foot to head.

    Example:
        >>> apex_is_first(np.diag([1.0, 1.0, 3.0, 1.0]))
        True
        >>> apex_is_first(np.diag([1.0, 1.0, -3.0, 1.0]))
        False
    """
    matrix = np.asarray(affine, dtype=float)
    if matrix.shape != (4, 4):
        raise ValueError(f"affine must be a 4x4 matrix, got shape {matrix.shape}.")
    if not -3 <= axis < 3:
        raise ValueError(f"axis must be one of the three volume axes, got {axis}.")
    direction = matrix[:3, :3][:, axis]
    if not np.abs(direction[2]) > np.abs(direction[:2]).max():
        raise ValueError(
            f"axis {axis} runs along {direction.tolist()} in world coordinates, which is not mainly from foot to "
            "head: pass the axial axis, or reorient the volume."
        )
    return bool(direction[2] > 0)
