"""The reports that inference left in a folder, those that need eyes first at the top."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["case_confidence", "find_reports", "read_reports"]

logger = logging.getLogger(__name__)


def case_confidence(dice: Sequence[float | None], review: bool) -> float:
    """The one number by which cases are ordered, from 0, look at it first, to 1.

    Cases for review have at most 0.5 and the others at least that. Among each of them the mean predicted Dice counts,
    in which an absent structure is 0: it has no overlap to predict, and a person must say whether it should be there.

    Args:
        dice: predicted Dice of each structure, ``None`` where it is absent from the segmentation.
        review: whether the case is for review.

    Example:
        >>> case_confidence([0.9, 0.7], review=False), case_confidence([0.9, 0.7], review=True)
        (0.9, 0.4)
        >>> case_confidence([None, None], review=True)  # an empty segmentation comes first
        0.0
    """
    return (sum(value or 0.0 for value in dice) / len(dice) + (not review)) / 2


def find_reports(folder: str | os.PathLike) -> dict[Path, int]:
    """The files ``<folder>/<case>/<case>_report.json``, sorted, and when each was written, in nanoseconds.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     find_reports(folder)
        {}
    """
    found = {}
    for path in sorted(Path(folder).glob("*/*_report.json")):
        if path.name == f"{path.parent.name}_report.json":
            try:
                found[path] = path.stat().st_mtime_ns
            except FileNotFoundError:  # its case is done again this moment
                continue
    return found


def read_reports(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The reports in the order of a worklist: by rising :func:`case_confidence`, flagged ones first, then by name.

    A file that is no report, or is another case's, is left out and named in the log. One that is gone is left out.

    Example:
        >>> read_reports([])
        []
    """
    reports = []
    for path in files:
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            _check(report, path.parent.name)
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.error("left out of the summary: %s is no report (%s)", path, error)
            continue
        reports.append(report)
    return sorted(reports, key=lambda report: (report["case_confidence"], report["case"]))


def _check(report: Any, case: str) -> None:
    """Raises if something is missing that a worklist shows, or has another type."""
    if report["case"] != case:
        raise ValueError(f"it is of case {report['case']!r}")
    number = (int, float)
    kinds: dict[str, Any] = {"review": bool, "predicted_mean_dice": (*number, type(None))}
    kinds |= {"reasons": list, "classes": dict}
    for key, kind in kinds.items():
        if not isinstance(report[key], kind):
            raise TypeError(f"{key} is {report[key]!r}")
    for key in ("image", "calibrated"):
        report[key]
    present = [
        values.get("predicted_dice") if values.get("volume_ml", 1) else None for values in report["classes"].values()
    ]
    if "case_confidence" not in report:  # written before 0.2
        report["case_confidence"] = case_confidence(present or [report["predicted_mean_dice"]], report["review"])
    if not isinstance(report["case_confidence"], number):
        raise TypeError(f"case_confidence is {report['case_confidence']!r}")
