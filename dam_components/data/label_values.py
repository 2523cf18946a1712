"""Values of a label: whole numbers, to the rounding of files that were saved with a scale."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["NEARLY_WHOLE", "round_labels", "wrong_label"]

NEARLY_WHOLE = 1e-3  # 0.9999999 is 1 saved with a scale; 0.5 was interpolated


def wrong_label(values: torch.Tensor | np.ndarray, classes: int | None = None) -> str | None:
    """The first value that is no class, with all its digits; ``None`` if all are.

    Args:
        values: different values of a label.
        classes: their number; ``None``: any from 0.

    Example:
        >>> wrong_label(np.array([0.0, 0.9999999, 1.5])), wrong_label(np.array([0, 3]), classes=3)
        ('1.5', '3')
    """
    for value in np.asarray(values, float).tolist():
        fits = np.isfinite(value) and abs(value - round(value)) <= NEARLY_WHOLE and round(value) >= 0
        if not fits or (classes is not None and round(value) >= classes):
            return f"{value:.9g}"
    return None


def round_labels(label: torch.Tensor) -> torch.Tensor:
    """The label with nearly whole values made whole; the same tensor if they are."""
    rounded = label.round()
    return label if torch.equal(rounded, label) else rounded
