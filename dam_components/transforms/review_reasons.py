"""Why a person should look at a case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from dam_components.metrics.training_range import TrainingRange, count_pieces

__all__ = ["REASONS", "check_reasons", "structure_reasons", "touches_border"]

REASONS = {
    "absent": "a structure is absent from the segmentation",
    "border": "a structure is cut off by the border of the image",
    "dice": "the predicted Dice of a structure is low",
    "pieces": "a structure lies in more pieces than in any training case",
    "volume": "the volume of a structure is outside those of the training cases",
    "image": "intensities after normalisation, voxels or orientation of the image are unlike all training cases",
}
LEAST_SLICES = 6  # an axis with fewer is a stack of single slices, whose ends say nothing
BORDER_SHARE = 0.25  # of the largest slice: a tip that just reaches the border is no reason


def check_reasons(names: Iterable[str]) -> tuple[str, ...]:
    """The names, which must be of :data:`REASONS`.

    Raises:
        ValueError: one is not.
    """
    chosen = tuple(names)
    if unknown := [name for name in chosen if name not in REASONS]:
        raise ValueError(f"review_for must be of {', '.join(REASONS)}, got {unknown[0]!r}")
    return chosen


def structure_reasons(
    index: int,
    name: str,
    mask: torch.Tensor,
    dice: float | None,
    volume_ml: float,
    review_below: float,
    known: TrainingRange | None,
    review_for: Sequence[str],
) -> list[str]:
    """The reasons that one structure gives, of those that are asked for.

    Args:
        index: of its class.
        name: of its class.
        mask: where it is, spatial axes only.
        dice: predicted; ``None`` if it is absent.
        volume_ml: its volume.
        review_below: the Dice below which a person should look.
        known: what it was like in training; ``None``: that is not asked.
        review_for: names of :data:`REASONS`.
    """
    if dice is None:
        return [f"{name} is absent from the segmentation"] if "absent" in review_for else []
    found: dict[str, str] = {}
    if "border" in review_for and touches_border(mask):
        found["border"] = f"{name} touches the border of the image: a part may lie outside"
    if dice < review_below:
        found["dice"] = f"{name}: predicted Dice {dice:.2f} is below {review_below:g}"
    if known is not None and {"pieces", "volume"} & {*review_for}:
        pieces = count_pieces(np.asarray(mask.cpu()))
        found |= known.structure_reasons(str(index), name, volume_ml, pieces)
    return [text for reason, text in found.items() if reason in review_for]


def touches_border(mask: torch.Tensor, share: float = BORDER_SHARE) -> bool:
    """Whether a structure is cut off by the image: on a face of it lies more than a share of its largest slice.

    Example:
        >>> mask = torch.zeros(6, 6, 6, dtype=torch.bool)
        >>> mask[2:, 2:4, 2:4] = True
        >>> touches_border(mask), touches_border(mask[:, 1:, 1:].roll(-1, 0))
        (True, False)
    """
    for axis in (axis for axis in range(mask.ndim) if mask.shape[axis] >= LEAST_SLICES):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        areas = mask.cpu().numpy().sum(axis=others)  # PyTorch would copy the mask to 64 bits
        if max(areas[0], areas[-1]) > share * areas.max():
            return True
    return False
