"""Which case a person should look at, or label, next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["least_confident_first"]


def least_confident_first(cases: Mapping[str, float | Mapping[str, Any]]) -> list[str]:
    """The names of the cases in the order in which a person should look at them.

    Args:
        cases: of each case its :func:`~dam_components.data.case_confidence`, or its report, ``<case>_report.json`` as a
            dictionary, whose ``case_confidence`` counts. Equal cases are ordered by name.

    Raises:
        ValueError: a number is missing or not in [0, 1]; the message names the case.

    Example:
        >>> least_confident_first({"a": 0.9, "b": {"case_confidence": 0.4}, "c": 0.7})
        ['b', 'c', 'a']
    """
    numbers: dict[str, float] = {}
    for name, case in cases.items():
        number = case.get("case_confidence") if isinstance(case, Mapping) else case
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number <= 1:
            raise ValueError(
                f"case {name} must have a case_confidence in [0, 1], got {number!r}: run inference on it again."
            )
        numbers[name] = float(number)
    return sorted(numbers, key=lambda name: (numbers[name], name))
