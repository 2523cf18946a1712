"""Difficulty-aware attention and the loss it steers: Eq. 7-10 of Nie et al., AAAI 2019."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dam_components.losses.generalized_dice import RunningDice
from dam_components.losses.hybrid import HybridLoss, finest_first
from dam_components.moved_names import renamed_argument
from dam_components.plain_tensor import plain
from dam_components.probabilities import check_probabilities

__all__ = ["DifficultyAwareHybridLoss", "difficulty_attention"]


def difficulty_attention(
    confidence: torch.Tensor, beta: float, attention_floor: float = 0.0, normalize: bool = False
) -> torch.Tensor:
    r"""Voxel-level attention, Eq. 9: :math:`F = (1 - M)^\beta`, with M detached; here ``attention_floor + F``.

    Args:
        confidence: M in 0..1, ``(B, 1, ...)``.
        beta: β; 0 gives F = 1.
        attention_floor: what every voxel gets whatever its M. 0 is the paper's; 1 is "1 + F", in which no voxel is
            ignored.
        normalize: divide by the mean over the batch, so that attention moves weight and does not shrink the loss.

    Example:
        >>> difficulty_attention(torch.tensor([0.0, 0.5, 1.0]), beta=2).tolist()
        [1.0, 0.25, 0.0]
        >>> difficulty_attention(torch.tensor([0.0, 0.5, 1.0]), beta=1, attention_floor=1, normalize=True).tolist()
        [1.3333333730697632, 1.0, 0.6666666865348816]
    """
    weight = attention_floor + (1 - confidence.detach()).pow(beta)
    return weight / weight.mean().clamp_min(1e-7) if normalize else weight


class DifficultyAwareHybridLoss(HybridLoss):
    r"""Difficulty-aware hybrid loss, Eq. 10: :math:`L_{DamHyb} = L_{FDice} + L_{FCE}`.

    The Dice term weighs each class by :math:`(1 - dsc_c)^\gamma` (Eq. 7), dsc_c being the running Dice of the class;
    the cross entropy weighs each voxel by :math:`F = (1 - M)^\beta` (Eq. 8, 9), M being D's confidence. With
    ``gamma=0``, and without a confidence or with ``beta=0`` and an F of 1 (``attention_floor=0`` or ``normalize``), it
    is :class:`HybridLoss`.

    Shapes: as :class:`HybridLoss`, and the confidence M in 0..1, ``(B, 1, ...)`` at the finest scale.

    Args:
        num_classes: classes, background included.
        beta: β of Eq. 9, in [0, 5]; the paper's is 2.
        gamma: γ of Eq. 7, in [0, 5]; the paper's is 2.
        attention_floor: what every voxel gets whatever its M, see :func:`difficulty_attention`. The paper's is 0.
        normalize: scale F to mean 1. The paper does not.
        momentum: weight of the newest batch in the running Dice.
        floor: the old name of ``attention_floor``, until 0.3.0.

    All other arguments are those of :class:`HybridLoss`.

    Raises:
        ValueError: if β or γ lies outside [0, 5] or ``attention_floor`` below 0; if the input has another number of
            classes, or the confidence another shape than the labels.

    Example:
        >>> loss = DifficultyAwareHybridLoss(num_classes=2)
        >>> logits, labels = torch.randn(1, 2, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)
        >>> sure, unsure = (loss(logits, labels, confidence=torch.full((1, 1, 4, 4, 4), m)) for m in (0.99, 0.01))
        >>> bool(sure < unsure)
        True
    """

    @renamed_argument("floor", "attention_floor")
    def __init__(
        self,
        num_classes: int,
        beta: float = 2.0,
        gamma: float = 2.0,
        attention_floor: float = 0.0,
        normalize: bool = False,
        momentum: float = 0.05,
        include_background: bool = True,
        to_onehot_y: bool = True,
        softmax: bool = True,
        w_type: str = "square",
        lambda_dice: float = 1.0,
        lambda_ce: float = 1.0,
        deep_supervision_weights: Sequence[float] = (1.0, 0.5, 0.25),
        reduction: str = "mean",
        floor: float | None = None,
    ) -> None:
        super().__init__(
            include_background=include_background,
            to_onehot_y=to_onehot_y,
            softmax=softmax,
            w_type=w_type,
            lambda_dice=lambda_dice,
            lambda_ce=lambda_ce,
            deep_supervision_weights=deep_supervision_weights,
            reduction=reduction,
        )
        for name, value in (("beta", beta), ("gamma", gamma)):
            if not 0 <= value <= 5:
                raise ValueError(f"{name} must lie in [0, 5], got {value}")
        if attention_floor < 0:
            raise ValueError(f"attention_floor must be >= 0, got {attention_floor}")
        self.beta = beta
        self.gamma = gamma
        self.attention_floor = attention_floor
        self.normalize = normalize
        self.dice = RunningDice(num_classes, momentum)

    def forward(
        self,
        input: torch.Tensor | Sequence[torch.Tensor],
        target: torch.Tensor,
        confidence: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss; in training mode the running Dice takes in the batch afterwards.

        Args:
            input: logits, or a list of them, finest first.
            target: labels.
            confidence: M. Without it, F = 1: what the trainer asks for during the warm-up.
        """
        scales = finest_first(input)
        finest = scales[0]
        if finest.shape[1] != len(self.dice.value):
            raise ValueError(f"the loss was made for {len(self.dice.value)} classes, the input has {finest.shape[1]}")
        region = self.dice.attention(self.gamma) if self.gamma > 0 else None
        voxel = None
        if confidence is not None:
            expected = (finest.shape[0], 1, *finest.shape[2:])
            if tuple(confidence.shape) != expected:
                shape = tuple(confidence.shape)
                raise ValueError(f"confidence must have shape {expected}, one value a voxel, got {shape}")
            voxel = difficulty_attention(plain(confidence), self.beta, self.attention_floor, self.normalize)
        if not self.softmax:
            check_probabilities(finest)
        labels = self.labels(finest, target)
        loss = self.supervise(scales, labels, region, voxel)
        if self.training:
            self.dice.update(finest, labels)
        return loss
