"""How many voxels a training window has on this machine, where nobody says."""

from __future__ import annotations

import torch

from dam_components.planning.plan import PATCH_VOXELS

__all__ = ["GPU_PATCH_VOXELS", "window_budget"]

GPU_PATCH_VOXELS = 2_000_000  # 128 x 128 x 122: what nnU-Net's planner takes, two a step
SHARE_OF_MEMORY = 0.5  # the rest is of the card's kernels and of what lies between blocks
STEP_BYTES, CLASS_BYTES = 1_150, 65  # of a step with S and D in half precision, a voxel, and a voxel and class


def window_budget(classes: int) -> tuple[int, str]:
    """Most voxels of a window, and what they are for: a CPU, or a CUDA device by its name and memory.

    On a GPU two windows a step take half of its memory, and no window is larger than 2 000 000 voxels. A step's memory
    was measured on a CPU with the profiler of PyTorch: 1 310, 1 810 and 3 130 bytes a voxel with 3, 11 and 31 classes.

    Args:
        classes: with the background.

    Example:
        >>> window_budget(3)  # without a GPU
        (65536, 'a CPU')
    """
    if not torch.cuda.is_available():
        return PATCH_VOXELS, "a CPU"
    card = torch.cuda.get_device_properties(0)
    fitting = int(SHARE_OF_MEMORY * card.total_memory / (STEP_BYTES + CLASS_BYTES * classes) / 2)
    words = f"{card.name} with {card.total_memory / 1e9:.0f} GB"
    return max(PATCH_VOXELS, min(GPU_PATCH_VOXELS, fitting)), words
