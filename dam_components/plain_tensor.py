"""A tensor without what MONAI hangs on it."""

from __future__ import annotations

import torch

__all__ = ["plain"]


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without MONAI's metadata, on the same memory: they cost time and would follow a result into a buffer.

    Example:
        >>> plain(torch.ones(2))
        tensor([1., 1.])
    """
    return tensor.as_tensor() if hasattr(tensor, "as_tensor") else tensor  # not by class: MONAI need not be imported
