"""The hybrid loss, Eq. 3 of Nie et al., AAAI 2019: generalized Dice (Eq. 1) plus cross entropy (Eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from dam_components.losses.generalized_dice import (
    check_labels,
    class_overlap,
    generalized_dice_loss,
    generalized_dice_weights,
)
from dam_components.plain_tensor import plain
from dam_components.predicted_class import predict_class
from dam_components.probabilities import NO_OVERLAP, check_class_count, check_one_hot, check_probabilities, whole_labels

__all__ = ["HybridLoss"]


class HybridLoss(nn.Module):
    r"""Hybrid loss, Eq. 3: :math:`L_{Hyb} = L_{Dice} + L_{CE}`, here with a weight for each term.

    Deep supervision: with a list of logits (finest first) the loss is the weighted mean over the scales; labels go to a
    coarser scale by nearest neighbour, as in MONAI's ``DeepSupervisionLoss``.

    Shapes: input ``(B, C, ...)`` or a list of such; target ``(B, 1, ...)`` class indices, or one-hot ``(B, C, ...)``.

    Args:
        include_background: whether class 0 takes part in the Dice term (it always does in the cross entropy).
        to_onehot_y: True: the target holds class indices, in one channel. False: it is one-hot already.
        softmax: True: the input is logits. False: it is probabilities.
        w_type: rule of the Dice weights π_c: "square" (Eq. 1), "simple" or "uniform".
        lambda_dice: weight of the Dice term. The paper's is 1.
        lambda_ce: weight of the cross entropy. The paper's is 1; 0 for either leaves that term out.
        deep_supervision_weights: one for each scale, finest first, normalised to sum to 1; more than the network has
            scales is fine.
        reduction: "mean" over voxels for Eq. 2 and over items for Eq. 1; "sum" over both, the paper's Eq. 2 as printed.

    Raises:
        ValueError: on an unknown option; on a target of the wrong shape; on labels outside 0..C-1, fractions, or
            one-hot labels that overlap or are soft; on an input that is no probabilities where ``softmax`` is False.

    Example:
        >>> loss = HybridLoss()
        >>> round(loss(torch.zeros(1, 2, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)).item(), 4)  # 1 - 2/3 + log 2
        1.0265
    """

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = True,
        softmax: bool = True,
        w_type: str = "square",
        lambda_dice: float = 1.0,
        lambda_ce: float = 1.0,
        deep_supervision_weights: Sequence[float] = (1.0, 0.5, 0.25),
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        if lambda_dice < 0 or lambda_ce < 0 or lambda_dice + lambda_ce == 0:
            given = f"{lambda_dice} and {lambda_ce}"
            raise ValueError(f"lambda_dice and lambda_ce must be >= 0 and not both 0, got {given}")
        if not deep_supervision_weights or deep_supervision_weights[0] <= 0 or min(deep_supervision_weights) < 0:
            raise ValueError(
                "deep_supervision_weights must be >= 0, and the finest scale's > 0, "
                f"got {tuple(deep_supervision_weights)}"
            )
        generalized_dice_weights(torch.ones(1), w_type)  # an unknown rule fails here, not in the first iteration
        self.include_background = include_background
        self.to_onehot_y = to_onehot_y
        self.softmax = softmax
        self.w_type = w_type
        self.lambda_dice = lambda_dice
        self.lambda_ce = lambda_ce
        self.deep_supervision_weights = tuple(deep_supervision_weights)
        self.reduction = reduction

    def forward(self, input: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        """Eq. 3, over all scales."""
        scales = finest_first(input)
        if not self.softmax:
            check_probabilities(scales[0])
        return self.supervise(scales, self.labels(scales[0], target), None, None)

    def supervise(
        self,
        scales: Sequence[torch.Tensor],
        labels: torch.Tensor,
        region_attention: torch.Tensor | None,
        voxel_attention: torch.Tensor | None,
    ) -> torch.Tensor:
        """The loss over all scales, from checked labels; the attentions of Eq. 7 ``(C,)`` and Eq. 8 ``(B, 1, ...)`` are
        each optional."""
        weights = self.deep_supervision_weights if len(scales) > 1 else (1.0,)
        if len(scales) > len(weights):
            raise ValueError(
                f"deep_supervision_weights holds {len(weights)} weights, the network gave {len(scales)} scales"
            )
        total = sum(weights[: len(scales)])
        return torch.stack(
            [
                self.at_scale(logits, labels, region_attention, voxel_attention) * (weight / total)
                for logits, weight in zip(scales, weights, strict=False)
                if weight > 0
            ]
        ).sum()

    def labels(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Integer class indices ``(B, 1, ...)`` from the target, checked against the logits."""
        check_class_count(logits.shape[1], "the input")
        channels = 1 if self.to_onehot_y else logits.shape[1]
        expected = (logits.shape[0], channels, *logits.shape[2:])
        if tuple(target.shape) != expected:
            got = f"{tuple(target.shape)}"
            if self.to_onehot_y and target.ndim > 1 and target.shape[1] > 1:
                got += f": {NO_OVERLAP}"
            raise ValueError(f"target must have shape {expected} for an input of {tuple(logits.shape)}, got {got}")
        target = plain(target)
        if self.to_onehot_y:
            labels = whole_labels(target)
        else:
            check_one_hot(target)
            labels = predict_class(target.to(torch.uint8))
        check_labels(labels, logits.shape[1])
        return labels

    def at_scale(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        region_attention: torch.Tensor | None,
        voxel_attention: torch.Tensor | None,
    ) -> torch.Tensor:
        """Eq. 10 at one scale; without attentions Eq. 3."""
        size = logits.shape[2:]
        if labels.shape[2:] != size:
            labels = functional.interpolate(labels.float(), size=size, mode="nearest-exact").long()
            if voxel_attention is not None:
                voxel_attention = functional.interpolate(voxel_attention, size=size, mode="nearest-exact")
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # sums over voxels outgrow half precision
        log_p = logits.log_softmax(1) if self.softmax else logits.clamp_min(1e-7).log()
        # picked once for both terms: what is picked costs a tensor of the logits' size in the backward pass
        log_p_true = log_p.gather(1, labels)
        loss = logits.new_zeros(())
        if self.lambda_dice > 0:
            overlap = class_overlap(log_p.exp(), labels, log_p_true.exp())
            dice = generalized_dice_loss(overlap, region_attention, self.include_background, self.w_type)
            loss = loss + self.lambda_dice * (dice.mean() if self.reduction == "mean" else dice.sum())
        if self.lambda_ce > 0:
            cross_entropy = -log_p_true if voxel_attention is None else -log_p_true * voxel_attention
            total = cross_entropy.mean() if self.reduction == "mean" else cross_entropy.sum()
            loss = loss + self.lambda_ce * total
        return loss


def finest_first(input: torch.Tensor | Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The logits of all scales as plain tensors; one tensor is one scale."""
    return [plain(logits) for logits in ([input] if isinstance(input, torch.Tensor) else input)]
