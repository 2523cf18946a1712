r"""The score of the PROMISE12 challenge, from 0 to 100.

Litjens et al., "Evaluation of prostate segmentation algorithms for MRI: the PROMISE12 challenge", Medical Image
Analysis 18(2), 2014. Four metrics (DSC, ABD, 95HD, aRVD) on three regions (whole, base, apex) make twelve values a
case. Each is mapped linearly, a perfect value to 100 and the mean of a second human observer to 85, never below 0, and
the case's score is the mean of the twelve:

.. math:: s(x) = \max\left(0,\; 100 - 15\,\frac{x - x_{perfect}}{x_{observer} - x_{perfect}}\right)

The challenge's twelve observer means are not in this package: no source that could be read here states them. See
:data:`TABLE_2_REFERENCE` for what stands in their place. How the challenge rounds the thirds of a prostate and treats
the planes of the cut could not be read either; :func:`~dam_components.metrics.axial_thirds` and
:func:`~dam_components.metrics.case_metrics` say what is done here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

PERFECT = MappingProxyType({"dice": 1.0, "asd_mm": 0.0, "hd95_mm": 0.0, "arvd_percent": 0.0})
SCORED_REGIONS = ("whole", "base", "apex")

TABLE_2_REFERENCE: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("whole", "dice"): 0.884,
        ("base", "dice"): 0.863,
        ("apex", "dice"): 0.842,
        ("whole", "asd_mm"): 2.11,
        ("base", "asd_mm"): 2.22,
        ("apex", "asd_mm"): 2.11,
        ("whole", "hd95_mm"): 5.99,
        ("base", "hd95_mm"): 5.76,
        ("apex", "hd95_mm"): 5.05,
        ("whole", "arvd_percent"): 6.3,
        ("base", "arvd_percent"): 6.6,
        ("apex", "arvd_percent"): 7.7,
    }
)
"""Stand-in for the second observer, calibrated on Table 2 of the paper; not the values of Litjens et al.

Table 2 prints the twelve metrics and the official score of ten systems. The reference is their mean error divided by
one common factor, 0.8325, fitted by least squares so that the rule above gives the printed scores. What that supports:
with each system's nine overlap and distance columns, and its volume term held at the ten systems' average, the ten
printed scores come back within 0.75 points. What it does not: the split of the factor over metrics and regions is an
assumption, as the ten systems are too alike to tell. The aRVD values are the least certain, and too strict: the table
prints signed mean differences, whose size is at most the mean absolute difference that is scored here. A score with
this reference ranks systems of one study; it is no entry for the challenge's leaderboard. Pass the challenge's own
values where they are at hand."""


def metric_score(value: float, reference: float, perfect: float) -> float:
    """Map one metric to its score: ``perfect`` gives 100, ``reference`` 85, linear between and beyond, at least 0.

    A value that is not finite, as the distance to an empty segmentation, gives 0.

    Args:
        value: the metric.
        reference: the second observer's mean of it.
        perfect: the value of a perfect segmentation.

    Raises:
        ValueError: ``reference`` equals ``perfect``, or is not finite.

    Example:
        >>> metric_score(2.0, reference=2.0, perfect=0.0)
        85.0
    """
    if reference == perfect or not math.isfinite(reference):
        raise ValueError(f"reference must be finite and differ from the perfect value {perfect}, got {reference}.")
    if not math.isfinite(value):
        return 0.0
    return max(0.0, 100 - 15 * (value - perfect) / (reference - perfect))


def promise12_score(
    rows: Iterable[Mapping[str, Any]], reference: Mapping[tuple[str, str], float] = TABLE_2_REFERENCE
) -> float:
    """PROMISE12 score of one case from its rows of metrics.

    Args:
        rows: the rows of one case and one structure, as :func:`~dam_components.metrics.case_metrics` returns them with
            ``regions=True``: ``region``, ``dice`` (0 to 1), ``asd_mm``, ``hd95_mm``, ``rvd_percent`` (signed; its
            absolute value is scored). Regions that are not scored (``middle``) are passed over.
        reference: second observer's mean for each ``(region, metric)``, metrics named ``dice``, ``asd_mm``,
            ``hd95_mm``, ``arvd_percent``. The default is a calibrated stand-in, see :data:`TABLE_2_REFERENCE`.

    Raises:
        ValueError: a region is missing, comes twice, or a reference value is missing.

    Example:
        >>> perfect = {"dice": 1.0, "asd_mm": 0.0, "hd95_mm": 0.0, "rvd_percent": 0.0}
        >>> promise12_score([{"region": region, **perfect} for region in ("whole", "base", "apex")])
        100.0
    """
    missing = [key for key in TABLE_2_REFERENCE if key not in reference]
    if missing:
        raise ValueError(f"reference must have a value for every (region, metric), {missing} missing.")
    scored = [row for row in rows if row["region"] in SCORED_REGIONS]
    if sorted(row["region"] for row in scored) != sorted(SCORED_REGIONS):
        raise ValueError(
            f"rows must hold each of {SCORED_REGIONS} once, for one case and one structure, "
            f"got {[row['region'] for row in scored]}: compute them with regions=True."
        )
    scores = []
    for row in scored:
        values = {**row, "arvd_percent": abs(row["rvd_percent"])}
        scores += [metric_score(values[name], reference[row["region"], name], PERFECT[name]) for name in PERFECT]
    return sum(scores) / len(scores)
