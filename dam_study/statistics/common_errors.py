"""How many of S's errors networks trained apart repeat: those that no disagreement between networks can find."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def shared_errors(predicted: torch.Tensor, labels: torch.Tensor, others: Sequence[torch.Tensor]) -> tuple[int, int]:
    """Wrong voxels, and those of them that all other networks call just as wrongly, by the same class.

    Where many are shared, the networks are at one with each other and at odds with the label: the images do not
    show, or these networks do not see, what the annotator saw, and the doubt of an ensemble cannot point there.

    Args:
        predicted: the class that S predicts, any shape.
        labels: the true class, of the same shape.
        others: what each other network calls, of the same shape; at least one.

    Raises:
        ValueError: shapes differ, or there is no other network.

    Example:
        >>> predicted, labels = torch.tensor([1, 1, 1, 0]), torch.tensor([1, 0, 0, 0])
        >>> shared_errors(predicted, labels, [torch.tensor([1, 1, 2, 1])])  # the second is repeated, the third is not
        (2, 1)
    """
    if not others:
        raise ValueError("others must hold what at least one other network calls, got none")
    if any(volume.shape != predicted.shape for volume in (labels, *others)):
        shapes = [tuple(volume.shape) for volume in (predicted, labels, *others)]
        raise ValueError(f"predicted, labels and others must have one shape, got {shapes}")
    wrong = predicted != labels
    repeated = wrong.clone()
    for other in others:
        repeated &= other == predicted
    return int(wrong.sum()), int(repeated.sum())
