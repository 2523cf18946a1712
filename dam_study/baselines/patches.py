"""Patches around voxels, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import pad

__all__ = ["box_offsets", "check_patch_size", "take_patches"]


def check_patch_size(size: Sequence[int]) -> None:
    """Raises:
    ValueError: unless all are odd, so that a patch has a middle.
    """
    if not size or any(n < 1 or n % 2 == 0 for n in size):
        raise ValueError(f"patch_size must be odd along each axis, so that a patch has a middle, got {list(size)}")


def box_offsets(radius: Sequence[int]) -> torch.Tensor:
    """All steps of at most ``radius`` along each axis.

    Example:
        >>> box_offsets((1, 0)).tolist()
        [[-1, 0], [0, 0], [1, 0]]
    """
    return torch.cartesian_prod(*(torch.arange(-r, r + 1) for r in radius)).reshape(-1, len(radius))


def take_patches(image: torch.Tensor, centres: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """The patch around each voxel, flat; beyond the border the border's values go on.

    Args:
        image: ``(K, ...)``.
        centres: ``(N, axes)``, integer.
        size: odd, along each axis.

    Returns:
        ``(N, K * prod(size))``.

    Raises:
        ValueError: for an even size, or one of another number of axes.

    Example:
        >>> take_patches(torch.arange(5.0)[None, :, None, None], torch.tensor([[0, 0, 0], [3, 0, 0]]), (3, 1, 1))
        tensor([[0., 0., 1.],
                [2., 3., 4.]])
    """
    check_patch_size(size)
    if len(size) != image.ndim - 1:
        raise ValueError(f"patch_size must name {image.ndim - 1} axes, got {list(size)}")
    radius = [n // 2 for n in size]
    edges = [edge for r in reversed(radius) for edge in (r, r)]
    wide = pad(image[None], edges, mode="replicate")[0]
    steps = [1]
    for n in reversed(wide.shape[2:]):
        steps.insert(0, steps[0] * n)
    stride = torch.tensor(steps, device=image.device)
    first = (centres.to(image.device) * stride).sum(1)
    inner = ((box_offsets(radius).to(image.device) + torch.tensor(radius, device=image.device)) * stride).sum(1)
    return wide.flatten(1)[:, first[:, None] + inner].movedim(0, 1).flatten(1)
