"""One table and one page over all cases' reports, those that need eyes first at the top."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ignite.engine import Engine, Events

from dam_components.atomic_files import write_whole
from dam_components.data.case_reports import find_reports, read_reports
from dam_components.data.dataset_layouts import listed_name
from dam_components.handlers.review_page import review_page

__all__ = ["ReportSummary", "write_summary"]

logger = logging.getLogger(__name__)


def write_summary(output_dir: str | os.PathLike, cases: Collection[str] | None = None) -> Path | None:
    """Writes ``<output_dir>/summary.csv`` and ``index.html`` from every ``<output_dir>/<case>/<case>_report.json``.

    In the table, one row a case, by rising :func:`~dam_components.data.case_confidence`, flagged ones first; a class
    is the columns ``<name> volume_ml`` and so on, empty where a report has none. The page shows the same cases in the
    same order with their review pictures (:func:`~dam_components.handlers.review_page.review_page`). A report that
    cannot be read is left out and named in the log.

    Several processes may do this at once in one folder. Whichever ends last has written every report that was there:
    a table that another process may have completed in the meantime is written again.

    Args:
        output_dir: the folder.
        cases: names of the cases that count; reports of others, of an earlier run on other images, are left out and
            named once in the log. ``None``: all.

    Returns:
        The table's file, or ``None`` if there is no report.
    """
    folder = Path(output_dir)
    while True:
        files = find_reports(folder)
        mine = {file: state for file, state in files.items() if cases is None or file.parent.name in cases}
        path = _write(folder, read_reports(mine))
        if find_reports(folder) == files:
            if others := [file.parent.name for file in files if file not in mine]:
                some = ", ".join(others[:3]) + (" ..." if len(others) > 3 else "")
                logger.warning("%d cases in %s are of an earlier run and not counted: %s", len(others), folder, some)
            return path


def _write(folder: Path, reports: list[dict[str, Any]]) -> Path | None:
    if not reports:
        return None
    table = pd.DataFrame(map(_row, reports))
    write_whole(folder / "index.html", review_page(folder, reports))
    return write_whole(folder / "summary.csv", table.to_csv(index=False, lineterminator="\n", float_format="%.5g"))


def _row(report: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: report[key] for key in ("case", "review", "case_confidence", "predicted_mean_dice", "calibrated")}
    row["reasons"] = "; ".join(report["reasons"])
    row["remarks"] = "; ".join(report.get("remarks", []))
    for name, values in report["classes"].items():
        row |= {f"{name} {quantity}": value for quantity, value in values.items()}
    row["image"] = report["image"]
    return row


class ReportSummary:
    """Handler: :func:`write_summary` when the run completes or fails, and a line in the log that says where.

    Args:
        output_dir: the folder of the reports.
        cases: the cases of the run, of all its processes, as in the configuration; ``None``: all reports count.
    """

    def __init__(self, output_dir: str | os.PathLike, cases: Sequence[Mapping[str, Any]] | None = None) -> None:
        self.output_dir = output_dir
        self.cases = None if cases is None else {listed_name(case) for case in cases}

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.failed)

    def __call__(self, engine: Engine) -> None:
        path = write_summary(self.output_dir, self.cases)
        if path is not None:
            flags = pd.read_csv(path)["review"]
            logger.info(
                "%d of %d cases are flagged for review: %s, with pictures %s",
                int(flags.sum()),
                len(flags),
                path,
                path.with_name("index.html"),
            )

    def failed(self, engine: Engine, error: BaseException) -> None:
        try:
            self(engine)
        except OSError as second:  # the disk is full, most likely; the first error says what to do
            logger.error("no summary.csv could be written (%s)", second)
        raise error
