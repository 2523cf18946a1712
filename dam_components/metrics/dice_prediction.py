r"""The Dice a segmentation should have, from its probabilities and its confidence map, without a label."""

from __future__ import annotations

import torch

from dam_components.predicted_class import predict_class

CHUNK = 2**18  # numbers at a time in float64, so that a large volume takes no gigabytes


def predicted_dice(
    probabilities: torch.Tensor, confidence: torch.Tensor, include_background: bool = False
) -> torch.Tensor:
    r"""Predict each class's Dice from expected overlaps of :math:`\hat P` and :math:`M`.

    S predicts for voxel :math:`v` the class :math:`k(v) = \arg\max_j \hat P_j(v)`, and is right there with probability
    :math:`M(v)`. The rest is spread over the other classes as :math:`\hat P` ranks them:

    .. math:: q_c(v) = M(v) \;\text{if}\; c = k(v), \quad (1 - M(v))\,\frac{\hat P_c(v)}{1 - \hat P_{k(v)}(v)}
        \;\text{otherwise.}

    With :math:`A_c` the voxels predicted as :math:`c`, the expected true positives are
    :math:`TP_c = \sum_{v \in A_c} q_c`, the expected false negatives :math:`FN_c = \sum_{v \notin A_c} q_c`, and

    .. math:: \widehat{Dice}_c = \frac{2\,TP_c}{|A_c| + TP_c + FN_c}

    which is the ratio of expectations, close to the expected ratio where the structure has many voxels. It takes no
    independence of voxels, but M must be calibrated over the whole volume: a residue of 0.001 on a million background
    voxels is a thousand false negatives.

    A class that S predicts nowhere has Dice 1 if it is absent and 0 if not; its value is the probability that it is
    absent, :math:`\prod_v (1 - q_c(v))`, taking voxels as independent (errors come in clumps, so this is low).

    Limits. If M is the truth (1 where S is right, 0 where wrong) the result is the true Dice, exactly, with two
    classes; with more, TP is exact and so is the sum of FN over all classes, and the result is the true Dice if at
    wrong voxels :math:`\hat P` leaves all of the rest to the true class. M = 1 everywhere gives 1 for every class.
    Where :math:`\hat P_k` is 1 in floating point and ranks no other class, the rest is spread evenly.

    Args:
        probabilities: softmax of S, (B, C, ...), C at least 2.
        confidence: M in [0, 1], (B, 1, ...).
        include_background: whether to return class 0 too.

    Returns:
        (B, C - 1), or (B, C) with ``include_background``, float64, on the device of the inputs.

    Raises:
        ValueError: shapes do not fit, or M is outside [0, 1].

    Example:
        >>> probabilities = torch.tensor([[[0.9, 0.4, 0.1, 0.2], [0.1, 0.6, 0.9, 0.8]]])  # predicts 0 1 1 1
        >>> right = torch.tensor([[[1.0, 0.0, 1.0, 1.0]]])  # the truth is 0 0 1 1
        >>> predicted_dice(probabilities, right)
        tensor([[0.8000]], dtype=torch.float64)
    """
    if probabilities.ndim < 3 or probabilities.shape[1] < 2:
        raise ValueError(
            f"probabilities must be (B, C, ...) with at least 2 classes, got shape {tuple(probabilities.shape)}."
        )
    expected = (probabilities.shape[0], 1, *probabilities.shape[2:])
    if tuple(confidence.shape) != expected:
        raise ValueError(f"confidence must have shape {expected}, got {tuple(confidence.shape)}.")
    lowest, highest = confidence.aminmax()
    if not (lowest >= 0 and highest <= 1):
        raise ValueError("confidence must be in [0, 1], got values outside or nan: apply the sigmoid to D's logits.")

    voxels = max(1, CHUNK // probabilities.shape[1])
    # added up as they come: small results kept between large ones would leave holes of gigabytes in memory
    sums = probabilities.new_zeros((4, *probabilities.shape[:2]), dtype=torch.float64)
    for prob, right in zip(
        probabilities.detach().flatten(2).split(voxels, 2),
        confidence.detach().flatten(2).split(voxels, 2),
        strict=True,
    ):
        sums += _sums(prob.double(), right.double())
    size, true_positives, false_negatives, log_absent = sums
    ratio = 2 * true_positives / (size + true_positives + false_negatives).clamp_min(1e-300)
    dice = torch.where(size > 0, ratio, log_absent.exp())
    return dice if include_background else dice[:, 1:]


def _sums(prob: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Voxels predicted, true positives, false negatives and log of the chance of absence, ``(4, B, C)``."""
    predicted = torch.zeros_like(prob, dtype=torch.bool).scatter_(1, predict_class(prob), True)
    rest = prob.masked_fill(predicted, 0)
    total = rest.sum(1, keepdim=True)
    share = torch.where(total > 0, rest / total, 1 / (prob.shape[1] - 1))
    missed = ((1 - right) * share).masked_fill(predicted, 0)
    absent = torch.log1p(-missed.clamp(0, 1))
    return torch.stack([predicted.sum(2).double(), (right * predicted).sum(2), missed.sum(2), absent.sum(2)])
