"""How much memory stored probabilities will take, said before any is taken."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from monai.utils import optional_import

__all__ = ["check_memory", "needed_gb", "stored_shape"]

COPIES = 1.5  # of P̂ in float32; 1.22 were measured with 20 classes of 256 x 256 x 200 voxels
OTHER_GRID = 1.0  # more, where D has a grid of its own
SMALL_GB = 1.0  # of which nobody needs to be told


def check_memory(cases: Sequence[Mapping[str, Any]], spacing: Sequence[float] = ()) -> None:
    """Prints the need of the largest case where it is more than a gigabyte.

    Args:
        cases: with ``image`` and ``probabilities``.
        spacing: of D's grid; none or not positive: the image's own.

    Raises:
        ValueError: it does not fit into the memory that is free.
    """
    copies = COPIES + (OTHER_GRID if any(step > 0 for step in spacing) else 0)
    sizes = ((needed_gb(stored_shape(case["probabilities"]), copies), str(case["probabilities"])) for case in cases)
    need, largest = max(sizes)
    psutil, known = optional_import("psutil")
    free = psutil.virtual_memory().available / 1e9 if known else math.inf
    if need > free:
        raise ValueError(
            f"{largest} needs about {need:.1f} GB of memory, {free:.1f} GB are free: use a larger machine, or crop the "
            "image and its probabilities alike"
        )
    if need > SMALL_GB:
        print(f"the largest case, {largest}, needs about {need:.1f} GB of memory; {free:.1f} GB are free")


def needed_gb(shape: Sequence[int], copies: float = COPIES) -> float:
    """Of probabilities of this shape, in so many copies.

    Example:
        >>> round(needed_gb((20, 512, 512, 600)), 1)
        18.9
    """
    return copies * 4 * math.prod(shape) / 1e9


def stored_shape(file: str | Path) -> tuple[int, ...]:
    """The shape in a file's header; nothing else is read. Empty where the file cannot be read, which is told later."""
    path = Path(file)
    try:
        if path.name.lower().endswith((".nii", ".nii.gz")):
            image: Any = nibabel.load(path)
            return tuple(image.shape)
        if path.suffix.lower() == ".npy":
            return tuple(np.load(path, mmap_mode="r", allow_pickle=False).shape)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            with archive.open("probabilities.npy" if "probabilities.npy" in names else names[0]) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                return tuple(read(member)[0])
    except Exception:
        return ()
