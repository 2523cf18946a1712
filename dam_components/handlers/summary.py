"""One table over all cases' reports, those that need eyes first at the top."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from ignite.engine import Engine, Events

from dam_components.atomic_files import write_whole

__all__ = ["ReportSummary", "write_summary"]

logger = logging.getLogger(__name__)


def write_summary(output_dir: str | os.PathLike) -> Path | None:
    """Writes ``<output_dir>/summary.csv`` from every ``<output_dir>/<case>/<case>_report.json``.

    One row a case, flagged ones first, then by rising predicted mean Dice, then by name; a class is the columns
    ``<name> volume_ml`` and so on, empty where a report has none. Reports of earlier runs count too, so a run over part
    of the cases leaves the table complete. A report that cannot be read is left out and named in the log.

    Several processes may do this at once in one folder. Whichever ends last has written every report that was there:
    a table that another process may have completed in the meantime is written again.

    Returns:
        The file, or ``None`` if there is no report.
    """
    folder = Path(output_dir)
    while True:
        reports = _reports(folder)
        path = _write(folder, list(reports))
        if _reports(folder) == reports:
            return path


def _reports(folder: Path) -> dict[Path, int]:
    """The reports in the folder, and when each was written."""
    found = {}
    for path in sorted(folder.glob("*/*_report.json")):
        if path.name == f"{path.parent.name}_report.json":
            try:
                found[path] = path.stat().st_mtime_ns
            except FileNotFoundError:  # its case is done anew this moment
                continue
    return found


def _write(folder: Path, reports: list[Path]) -> Path | None:
    rows = []
    for path in reports:
        try:
            rows.append(_row(json.loads(path.read_text(encoding="utf-8"))))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.error("left out of the summary: %s is no report (%s)", path, error)
    if not rows:
        return None
    table = pd.DataFrame(rows).sort_values(["review", "predicted_mean_dice", "case"], ascending=[False, True, True])
    return write_whole(folder / "summary.csv", table.to_csv(index=False, lineterminator="\n"))


def _row(report: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: report[key] for key in ("case", "review", "predicted_mean_dice", "calibrated")}
    row["reasons"] = "; ".join(report["reasons"])
    row["remarks"] = "; ".join(report.get("remarks", []))
    for name, values in report["classes"].items():
        row |= {f"{name} {quantity}": value for quantity, value in values.items()}
    row["image"] = report["image"]
    return row


class ReportSummary:
    """Handler: :func:`write_summary` when the run completes, and a line in the log that says where.

    Args:
        output_dir: the folder of the reports.
    """

    def __init__(self, output_dir: str | os.PathLike) -> None:
        self.output_dir = output_dir

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        path = write_summary(self.output_dir)
        if path is not None:
            flags = pd.read_csv(path)["review"]
            logger.info("%d of %d cases are flagged for review: %s", int(flags.sum()), len(flags), path)
