"""What D learns and what S learns from it: Eq. 4-6 of Nie et al., AAAI 2019."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from dam_components.losses.generalized_dice import check_labels
from dam_components.moved_names import renamed_argument
from dam_components.predicted_class import predict_class
from dam_components.probabilities import check_probabilities, whole_labels

__all__ = ["AdversarialLoss", "ConfidenceLoss", "adversarial_loss", "confidence_target", "near_structure"]

TARGETS = ("adversarial", "correctness", "probability")


def confidence_target(probabilities: torch.Tensor, labels: torch.Tensor, target: str) -> torch.Tensor:
    """Q of Eq. 5 for D's judgement of S's output, ``(B, 1, ...)``.

    Args:
        probabilities: P̂, ``(B, C, ...)``.
        labels: class indices, integer ``(B, 1, ...)``.
        target: "adversarial": 0 everywhere, Eq. 4 as printed; "correctness": 1 where argmax P̂ is the label, else 0;
            "probability": P̂ of the true class.
    """
    if target == "adversarial":
        return torch.zeros_like(probabilities[:, :1])
    if target == "correctness":
        return (predict_class(probabilities) == labels).to(probabilities.dtype)
    if target == "probability":
        return probabilities.gather(1, labels)
    raise ValueError(f"target must be one of {list(TARGETS)}, got {target!r}")


def near_structure(probabilities: torch.Tensor, labels: torch.Tensor, band: int) -> torch.Tensor:
    """Voxels at most ``band`` steps (a cube) from the foreground of the labels or of argmax P̂: bool ``(B, 1, ...)``."""
    near = ((labels > 0) | (predict_class(probabilities) > 0)).to(torch.float32)
    for axis in range(2, near.ndim):  # a cube is a line along each axis in turn: 7 + 7 + 7 voxels to look at, not 343
        lines = near.movedim(axis, -1)
        widened = functional.max_pool1d(lines.reshape(-1, 1, lines.shape[-1]), 2 * band + 1, stride=1, padding=band)
        near = widened.view(lines.shape).movedim(-1, axis)
    return near > 0


def adversarial_loss(logits: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Eq. 6: BCE(D(S(X)), 1), from D's logits.

    Example:
        >>> round(adversarial_loss(torch.zeros(2, 1, 4)).item(), 4)  # log 2: D undecided
        0.6931
    """
    check_reduction(reduction)
    loss = functional.softplus(-logits.to(torch.promote_types(logits.dtype, torch.float32)))
    return loss.mean() if reduction == "mean" else loss.sum()


class AdversarialLoss(nn.Module):
    """The soft adversarial term for S, Eq. 6: it falls as D takes S's output for right.

    Shapes: D's logits ``(B, 1, ...)`` to a scalar.

    Args:
        reduction: "mean" over voxels, or the paper's "sum".
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction(reduction)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Eq. 6 of D's logits."""
        return adversarial_loss(logits, self.reduction)


class ConfidenceLoss(nn.Module):
    r"""D's loss, Eq. 4: :math:`L_D = L_{BCE}(D(P), 1) + L_{BCE}(D(\hat P), Q)`.

    As printed, Q is 0 everywhere (``target="adversarial"``): D is told real or fake and nothing about *where* S errs,
    and its map was measured to collapse to a constant. With ``target="correctness"`` Q says voxel by voxel whether S is
    right; BCE is a proper score, so the M that minimises it is the probability that S is right.

    Shapes: D's logits ``(B, 1, ...)``, P̂ ``(B, C, ...)``, labels ``(B, 1, ...)``.

    Args:
        target: "correctness", "probability" or "adversarial", see :func:`confidence_target`.
        label_weight: weight of the first term, D on the true labels. ``None``: 1 for "adversarial", else 0.
        band: voxels around the structures that count in full; ``None``: all do. Most of a patch is easy background,
            which teaches D little.
        outside_weight: weight of the voxels outside the band.
        reduction: "mean" over voxels, or the paper's "sum".
        judge_labels: the old name of ``label_weight``, until 0.3.0.

    Raises:
        ValueError: on an unknown option or a negative weight; on labels outside 0..C-1 or fractions; if P̂ is no
            softmax's; if D's logits on the labels are required and missing.

    Example:
        >>> loss = ConfidenceLoss("correctness")
        >>> p, labels = torch.tensor([[[0.9, 0.4], [0.1, 0.6]]]), torch.tensor([[[0, 0]]])  # right, wrong
        >>> round(loss(torch.tensor([[[4.0, -4.0]]]), p, labels).item(), 4)  # log(1 + exp(-4))
        0.0181
    """

    @renamed_argument("judge_labels", "label_weight")
    def __init__(
        self,
        target: str = "correctness",
        label_weight: float | None = None,
        band: int | None = None,
        outside_weight: float = 0.1,
        reduction: str = "mean",
        judge_labels: float | None = None,
    ) -> None:
        super().__init__()
        if target not in TARGETS:
            raise ValueError(f"target must be one of {list(TARGETS)}, got {target!r}")
        if label_weight is None:
            label_weight = 1.0 if target == "adversarial" else 0.0
        if label_weight < 0 or outside_weight < 0:
            raise ValueError(f"label_weight and outside_weight must be >= 0, got {label_weight} and {outside_weight}")
        if band is not None and band < 1:
            raise ValueError(f"band must be None or at least 1 voxel, got {band}")
        self.target = target
        self.label_weight = label_weight
        self.band = band
        self.outside_weight = outside_weight
        self.reduction = check_reduction(reduction)

    def forward(
        self,
        logits: torch.Tensor,
        probabilities: torch.Tensor,
        labels: torch.Tensor,
        label_logits: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Eq. 4.

        Args:
            logits: D(P̂ ∪ X).
            probabilities: P̂, no gradient goes into it.
            labels: class indices, any numeric type.
            label_logits: D(P ∪ X); required where ``label_weight`` > 0.
        """
        labels = whole_labels(labels)
        probabilities = probabilities.detach()
        check_probabilities(probabilities)
        check_labels(labels, probabilities.shape[1])
        weight = None
        if self.band is not None:
            near = near_structure(probabilities, labels, self.band)
            weight = torch.where(near, 1.0, self.outside_weight)
        loss = self.cross_entropy(logits, confidence_target(probabilities, labels, self.target), weight)
        if self.label_weight > 0:
            if label_logits is None:
                raise ValueError("label_weight > 0 requires D's logits on the labels (label_logits), got None")
            loss = loss + self.label_weight * self.cross_entropy(label_logits, torch.ones_like(label_logits), weight)
        return loss

    def cross_entropy(self, logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """Eq. 5 on logits; its mean is over the weights."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), weight, reduction="sum")
        if self.reduction == "sum":
            return loss
        return loss / (logits.numel() if weight is None else weight.sum().clamp_min(1e-7))


def check_reduction(reduction: str) -> str:
    """Returns the reduction if it is one of the two that the losses of D know."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
    return reduction
