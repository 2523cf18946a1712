"""What is assumed of P̂ and of labels, checked where they enter a loss or a transform."""

from __future__ import annotations

import math

import torch

__all__ = ["NO_OVERLAP", "check_class_count", "check_one_hot", "check_probabilities", "whole_labels"]

NO_OVERLAP = (
    "classes must exclude each other, background included, as those of a softmax do; sigmoids and classes that overlap "
    "are not supported"
)
TOLERANCE = 0.01  # half precision and averages stay within it, logits and sigmoids do not


def check_class_count(channels: int, what: str) -> None:
    """Raises an error where there is one channel, which only a sigmoid can tell background by.

    Args:
        channels: how many.
        what: has them, for the message.

    Raises:
        ValueError: fewer than two channels.

    Example:
        >>> check_class_count(1, "S")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: S must have 2 channels or more, got 1: classes must exclude each other, ...
    """
    if channels < 2:
        raise ValueError(f"{what} must have 2 channels or more, got {channels}: {NO_OVERLAP}")


def check_probabilities(probabilities: torch.Tensor, dim: int = 1) -> None:
    """Raises an error unless the values are a softmax's: in 0..1, with a sum of 1 over the classes.

    Args:
        probabilities: P̂, any shape.
        dim: the axis of the classes.

    Raises:
        ValueError: logits, a sigmoid's values, NaN.

    Example:
        >>> check_probabilities(torch.tensor([[0.9, 0.1]]))  # one voxel of two classes
    """
    if not probabilities.numel():
        raise ValueError(f"P̂ holds no value, got shape {tuple(probabilities.shape)}")
    check_class_count(probabilities.shape[dim], "P̂")
    values = probabilities.detach().float()
    (low, high), (least, most) = values.aminmax(), values.sum(dim).aminmax()
    limits = torch.stack([low, high, least, most]).tolist()  # one wait for the device
    if any(math.isnan(limit) for limit in limits):
        raise ValueError("P̂ holds NaN: S's weights or its input are damaged; train S or fetch its weights again")
    fits = limits[0] >= -TOLERANCE and limits[1] <= 1 + TOLERANCE
    if not (fits and limits[2] >= 1 - TOLERANCE and limits[3] <= 1 + TOLERANCE):
        got = f"values {limits[0]:.3g}..{limits[1]:.3g} with sums {limits[2]:.3g}..{limits[3]:.3g}"
        raise ValueError(
            f"P̂ must lie in 0..1 and sum to 1 over the classes; got {got}: apply the softmax to the logits, once; "
            f"{NO_OVERLAP}"
        )


def check_one_hot(target: torch.Tensor) -> None:
    """Raises an error unless exactly one class of each voxel is 1 and the others are 0, ``(B, C, ...)``.

    Raises:
        ValueError: overlapping, missing or soft labels.

    Example:
        >>> check_one_hot(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))  # two voxels of two classes
    """
    if soft := int(((target != 0) & (target != 1)).sum()):
        raise ValueError(
            f"labels must be one-hot, 0 or 1, but {soft} of {target.numel()} values are neither: soft labels have no "
            "place in Eq. 1 and 2 here; take the class of the largest value"
        )
    classes = target.sum(1)
    for what, wrong in (("2 or more classes", classes > 1), ("no class", classes < 1)):
        if count := int(wrong.sum()):
            raise ValueError(
                f"labels must be one-hot, but {count} of {classes.numel()} voxels have {what}: {NO_OVERLAP}"
            )


def whole_labels(labels: torch.Tensor) -> torch.Tensor:
    """Class indices as integers.

    Raises:
        ValueError: a value is not a whole number.

    Example:
        >>> whole_labels(torch.tensor([0.0, 2.0]))
        tensor([0, 2])
    """
    if labels.is_floating_point() and not bool((labels == labels.round()).all()):  # nan is no whole number either
        wrong = labels[labels != labels.round()].flatten()[0].item()
        raise ValueError(f"labels must be whole numbers, got {wrong:.9g}: resample them by nearest neighbour")
    return labels.long()
