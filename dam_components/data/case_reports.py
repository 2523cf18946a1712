"""The reports that inference left in a folder, those that need eyes first at the top."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["find_reports", "read_reports"]

logger = logging.getLogger(__name__)


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
    """The reports in the order of a worklist: flagged ones first, then by rising predicted mean Dice, then by name.

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
    return sorted(reports, key=lambda report: (not report["review"], report["predicted_mean_dice"], report["case"]))


def _check(report: Any, case: str) -> None:
    """Raises if something is missing that a worklist shows, or has another type."""
    if report["case"] != case:
        raise ValueError(f"it is of case {report['case']!r}")
    for key, kind in (("review", bool), ("predicted_mean_dice", (int, float)), ("reasons", list), ("classes", dict)):
        if not isinstance(report[key], kind):
            raise TypeError(f"{key} is {report[key]!r}")
    for key in ("image", "calibrated"):
        report[key]
    for values in report["classes"].values():
        values.items()
