"""Eq. 1-10 of Nie et al., AAAI 2019."""

from dam_components.losses.confidence import AdversarialLoss, ConfidenceLoss, adversarial_loss
from dam_components.losses.difficulty import DifficultyAwareHybridLoss, difficulty_attention
from dam_components.losses.generalized_dice import RunningDice, class_overlap, generalized_dice_loss
from dam_components.losses.hybrid import HybridLoss
from dam_components.losses.pseudo_label import PseudoLabelLoss, pseudo_label_loss

__all__ = [
    "AdversarialLoss",
    "ConfidenceLoss",
    "DifficultyAwareHybridLoss",
    "HybridLoss",
    "PseudoLabelLoss",
    "RunningDice",
    "adversarial_loss",
    "class_overlap",
    "difficulty_attention",
    "generalized_dice_loss",
    "pseudo_label_loss",
]
