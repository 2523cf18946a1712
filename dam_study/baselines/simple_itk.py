"""SimpleITK, which only the baselines need, and volumes as it takes them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["simple_itk", "to_itk"]


def simple_itk() -> Any:
    """The module, imported when it is first needed.

    Raises:
        ImportError: if it is not installed; the message names the extra.
    """
    try:
        return import_module("SimpleITK")
    except ImportError as error:
        raise ImportError("the baselines need SimpleITK: pip install 'dam-components[study]'") from error


def to_itk(volume: np.ndarray, spacing_mm: Sequence[float]) -> Any:
    """A SimpleITK image of a volume ``(X, Y, Z)``, with its middle in the origin.

    Example:
        >>> image = to_itk(np.zeros((5, 4, 3)), (1.0, 1.0, 3.0))
        >>> image.GetSize(), image.GetOrigin()
        ((5, 4, 3), (-2.0, -1.5, -3.0))
    """
    image = simple_itk().GetImageFromArray(np.ascontiguousarray(volume.T))  # ITK's arrays run z, y, x
    image.SetSpacing([float(step) for step in spacing_mm])
    image.SetOrigin([-(n - 1) / 2 * float(step) for n, step in zip(volume.shape, spacing_mm, strict=True)])
    return image
