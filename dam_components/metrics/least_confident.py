r"""Which unlabelled case a person should label next: the one whose segmentation is expected to be worst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dam_components.metrics.dice_prediction import predicted_dice

__all__ = ["case_confidence", "least_confident_first"]


def case_confidence(probabilities: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    r"""The mean of :func:`~dam_components.metrics.predicted_dice` over the classes: the lower, the more a correction of
    the case should teach.

    What a correction changes is what S has wrong, and one minus this is the share of overlap that S is expected to
    have wrong. It counts each structure alike, whatever its size. The mean of M does neither: near a structure it
    says more about the structure's surface than about the segmentation, and did not follow the true Dice.

    Args:
        probabilities: softmax of S, (B, C, ...), C at least 2.
        confidence: M in [0, 1], (B, 1, ...).

    Returns:
        (B,), float64, in [0, 1]. It is ``predicted_mean_dice`` of a case's report, where that is not calibrated.

    Raises:
        ValueError: as ``predicted_dice``.

    Example:
        >>> probabilities = torch.tensor([[[0.9, 0.4, 0.1, 0.2], [0.1, 0.6, 0.9, 0.8]]])
        >>> case_confidence(probabilities, torch.tensor([[[1.0, 0.0, 1.0, 1.0]]]))
        tensor([0.8000], dtype=torch.float64)
    """
    return predicted_dice(probabilities, confidence).mean(1)


def least_confident_first(cases: Mapping[str, float | Mapping[str, Any]]) -> list[str]:
    """The names of the cases in the order in which a person should label them.

    Args:
        cases: of each unlabelled case its :func:`case_confidence`, or its report, ``<case>_report.json`` as a
            dictionary, whose ``predicted_mean_dice`` counts. Equal cases are ordered by name.

    Raises:
        ValueError: a number is missing or not in [0, 1]; the message names the case.

    Example:
        >>> least_confident_first({"a": 0.9, "b": {"predicted_mean_dice": 0.4}, "c": 0.7})
        ['b', 'c', 'a']
    """
    numbers: dict[str, float] = {}
    for name, case in cases.items():
        number = case.get("predicted_mean_dice") if isinstance(case, Mapping) else case
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number <= 1:
            raise ValueError(
                f"case {name} must have a predicted mean Dice in [0, 1], got {number!r}: run inference on it anew."
            )
        numbers[name] = float(number)
    return sorted(numbers, key=lambda name: (numbers[name], name))
