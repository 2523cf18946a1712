"""Generalized Dice loss with organ-level attention: Eq. 1 and Eq. 7 of Nie et al., AAAI 2019."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn

from dam_components.predicted_class import predict_class

__all__ = [
    "RunningDice",
    "check_labels",
    "class_overlap",
    "generalized_dice_loss",
    "generalized_dice_weights",
]


def check_labels(labels: torch.Tensor, classes: int) -> None:
    """Raises a ValueError if a class index lies outside 0..classes-1."""
    low, high = labels.aminmax()
    if low < 0 or high >= classes:
        raise ValueError(
            f"labels must lie in 0..{classes - 1} (the network gives {classes} classes), got {int(low)}..{int(high)}"
        )


def class_overlap(
    values: torch.Tensor, labels: torch.Tensor, of_true_class: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sums of P·P̂, P and P̂ over the voxels, for every item and class: all that a Dice needs.

    Labels stay integers: the one-hot P is never made.

    Args:
        values: P̂, ``(B, C, ...)``.
        labels: class indices, integer ``(B, 1, ...)``.
        of_true_class: ``values.gather(1, labels)`` where the caller has it already.

    Returns:
        Intersection, reference size, predicted size; ``(B, C)`` each, float32 or float64.
    """
    batch, classes, slices = values.shape[:3]
    # slice by slice: scatter_add adds one voxel after the other, which float32 bears for some ten thousand
    index = labels.reshape(batch, slices, -1)
    of_true_class = (values.gather(1, labels) if of_true_class is None else of_true_class).reshape(index.shape)
    zeros = values.new_zeros(batch, slices, classes, dtype=torch.promote_types(values.dtype, torch.float32))
    intersection = zeros.scatter_add(2, index, of_true_class.to(zeros.dtype)).sum(1)
    reference = zeros.scatter_add(2, index, torch.ones_like(index, dtype=zeros.dtype)).sum(1)
    predicted = values.flatten(2).sum(-1, dtype=zeros.dtype)
    return intersection, reference, predicted


def generalized_dice_weights(reference: torch.Tensor, w_type: str = "square") -> torch.Tensor:
    """Class weights π_c of Eq. 1 from the reference sizes ``(..., C)``: ``1 / size²`` ("square", the paper and Sudre et
    al. 2017), ``1 / size`` ("simple") or 1 ("uniform"). An absent class has no Dice: its weight is 0.

    Example:
        >>> generalized_dice_weights(torch.tensor([10.0, 2.0, 0.0])).tolist()
        [0.009999999776482582, 0.25, 0.0]
    """
    powers = {"square": 2.0, "simple": 1.0, "uniform": 0.0}
    if w_type not in powers:
        raise ValueError(f"w_type must be one of {sorted(powers)}, got {w_type!r}")
    present = reference > 0
    return torch.where(present, reference.clamp_min(1).pow(-powers[w_type]), torch.zeros_like(reference))


def generalized_dice_loss(
    overlap: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    attention: torch.Tensor | None = None,
    include_background: bool = True,
    w_type: str = "square",
    eps: float = 1e-5,
) -> torch.Tensor:
    r"""Eq. 1, and with ``attention`` Eq. 7:

    .. math:: L = 1 - 2 \frac{\sum_c \pi_c a_c \sum P_c \hat P_c}{\sum_c \pi_c a_c \sum (P_c + \hat P_c)},
        \quad a_c = (1 - dsc_c)^\gamma

    Args:
        overlap: what :func:`class_overlap` returns, ``(B, C)`` each.
        attention: a_c, ``(C,)``, no gradient. ``None`` is 1 for all: Eq. 1.
        include_background: False leaves class 0 out of the sums.
        w_type: rule of π_c, see :func:`generalized_dice_weights`.
        eps: relative smoothing, of the weighted sums; decides only where there is nothing to compare.

    Returns:
        One loss an item, ``(B,)``. With no class present it is 0: there is no region to agree on.
    """
    first = 0 if include_background else 1
    intersection, reference, predicted = (part[:, first:] for part in overlap)
    weights = generalized_dice_weights(reference, w_type)
    if attention is not None:
        weights = weights * attention[first:]
    # the weights only matter relative to each other; scaled to sum to 1 they keep clear of the float's limits
    weights = weights / weights.sum(1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
    numerator = 2 * (weights * intersection).sum(1)
    denominator = (weights * (reference + predicted)).sum(1)
    return 1 - (numerator + eps) / (denominator + eps)


class RunningDice(nn.Module):
    """dsc_c of Eq. 7: the running average of each class's Dice over the training batches.

    The paper says "average Dice"; of what is left open. Here: the Dice of argmax P̂ over the batch (over all ranks under
    ``torch.distributed``), averaged with momentum over the batches that hold the class. It starts at 0, where all
    classes weigh the same, and is a buffer: a checkpoint keeps it.

    Args:
        num_classes: classes, background included.
        momentum: weight of the newest batch, in (0, 1].
    """

    value: torch.Tensor

    def __init__(self, num_classes: int, momentum: float = 0.05) -> None:
        super().__init__()
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum must lie in (0, 1], got {momentum}")
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(num_classes))

    @torch.no_grad()
    def update(self, values: torch.Tensor, labels: torch.Tensor) -> None:
        """Takes in a batch: P̂ or logits ``(B, C, ...)`` and integer labels ``(B, 1, ...)``."""
        classes = len(self.value)
        predicted = predict_class(values).flatten()
        true = labels.flatten()
        # one pass: the confusion matrix holds intersection and both sizes
        confusion = torch.bincount(true * classes + predicted, minlength=classes * classes).view(classes, classes)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(confusion)
        reference = confusion.sum(1)
        dice = 2 * confusion.diagonal() / (reference + confusion.sum(0)).clamp_min(1)
        self.value += torch.where(reference > 0, self.momentum * (dice - self.value), torch.zeros_like(self.value))

    def attention(self, gamma: float) -> torch.Tensor:
        """(1 - dsc_c)^γ, ``(C,)``."""
        return (1 - self.value).pow(gamma)
