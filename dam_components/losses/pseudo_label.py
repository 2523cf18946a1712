"""Learning from labels that a network gave, where they can be trusted: after Hung et al., BMVC 2018, Eq. 5."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from dam_components.losses.generalized_dice import class_overlap, generalized_dice_loss
from dam_components.losses.hybrid import finest_first

__all__ = ["PseudoLabelLoss", "pseudo_label_loss"]


def pseudo_label_loss(
    logits: torch.Tensor, labels: torch.Tensor, trusted: torch.Tensor, lambda_dice: float = 1.0, lambda_ce: float = 1.0
) -> torch.Tensor:
    r"""Masked generalized Dice plus masked cross entropy, at one scale.

    Hung et al. have the cross entropy alone. It is a mean over *all* voxels, not over the trusted ones: the fewer are
    trusted, the less the term says. Organs are a few voxels in a hundred and the sure voxels among them fewer, so
    Dice, over the trusted voxels, keeps them from drowning in background; its weights are ``1 / size``, since ``1 /
    size²`` would let a handful of trusted voxels of one class rule the item.

    Args:
        logits: ``(B, C, ...)``.
        labels: pseudo-labels, integer ``(B, 1, ...)``.
        trusted: bool ``(B, 1, ...)``: voxels whose label is trusted. Where none is, loss and gradient are 0.
        lambda_dice: weight of the Dice term.
        lambda_ce: weight of the cross entropy.

    Example:
        >>> logits, labels = torch.zeros(1, 2, 4), torch.ones(1, 1, 4, dtype=torch.long)
        >>> half = torch.tensor([[[True, True, False, False]]])
        >>> round(pseudo_label_loss(logits, labels, half, lambda_dice=0).item(), 4)  # log 2, twice in four
        0.3466
    """
    log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(1)
    mask = trusted.to(log_p.dtype)
    loss = log_p.new_zeros(())
    if lambda_dice > 0:
        # outside the mask P̂ is 0 and P background, whose size is then taken back
        intersection, reference, predicted = class_overlap(log_p.exp() * mask, labels * trusted)
        ignored = (1 - mask).flatten(1).sum(1, keepdim=True)
        reference = torch.cat([reference[:, :1] - ignored, reference[:, 1:]], dim=1)
        loss = loss + lambda_dice * generalized_dice_loss((intersection, reference, predicted), w_type="simple").mean()
    if lambda_ce > 0:
        cross_entropy = functional.nll_loss(log_p, labels.squeeze(1), reduction="none")
        loss = loss + lambda_ce * (cross_entropy * mask.squeeze(1)).mean()
    return loss


class PseudoLabelLoss(nn.Module):
    """:func:`pseudo_label_loss` for a network with one or several scales.

    Shapes: logits ``(B, C, ...)`` or a list of such, finest first; labels and mask ``(B, 1, ...)`` at the finest.

    Args:
        lambda_dice: weight of the Dice term.
        lambda_ce: weight of the cross entropy; 0 for either leaves that term out.
        deep_supervision_weights: one for each scale, finest first, normalised to sum to 1.

    Raises:
        ValueError: if the weights are negative or all 0.
    """

    def __init__(
        self,
        lambda_dice: float = 1.0,
        lambda_ce: float = 1.0,
        deep_supervision_weights: Sequence[float] = (1.0, 0.5, 0.25),
    ) -> None:
        super().__init__()
        if lambda_dice < 0 or lambda_ce < 0 or lambda_dice + lambda_ce == 0:
            given = f"{lambda_dice} and {lambda_ce}"
            raise ValueError(f"lambda_dice and lambda_ce must be >= 0 and not both 0, got {given}")
        weights = tuple(deep_supervision_weights)
        if not weights or weights[0] <= 0 or min(weights) < 0:
            raise ValueError(f"deep_supervision_weights must be >= 0, and the finest scale's > 0, got {weights}")
        self.lambda_dice = lambda_dice
        self.lambda_ce = lambda_ce
        self.deep_supervision_weights = weights

    def forward(
        self, input: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor, trusted: torch.Tensor
    ) -> torch.Tensor:
        """The weighted mean over the scales; labels and mask go to a coarser one by nearest neighbour."""
        scales = finest_first(input)
        weights = self.deep_supervision_weights if len(scales) > 1 else (1.0,)
        if len(scales) > len(weights):
            raise ValueError(f"deep_supervision_weights holds {len(weights)} weights, the network gave {len(scales)}")
        terms = []
        for logits, weight in zip(scales, weights, strict=False):
            labels, mask = (nearest(x, logits.shape[2:]) for x in (target, trusted))
            terms.append(weight * pseudo_label_loss(logits, labels, mask, self.lambda_dice, self.lambda_ce))
        return torch.stack(terms).sum() / sum(weights[: len(scales)])


def nearest(values: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Labels or a mask at another size, type kept."""
    if values.shape[2:] == size:
        return values
    return functional.interpolate(values.float(), size=size, mode="nearest-exact").to(values.dtype)
