"""What the reviewer said of each case, in ``review.csv`` beside the cases."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock

from dam_components.atomic_files import whole_file

__all__ = ["VERDICTS", "OtherVerdict", "Verdicts"]

VERDICTS = ("", "accept", "needs correction")
COLUMNS = ("case", "verdict", "note", "reviewed_at", "revision", "result")
LONGEST_NOTE = 4000


class OtherVerdict(ValueError):
    """Somebody else, or another tab, has changed the case in the meantime; ``row`` is what the file holds."""

    def __init__(self, row: Mapping[str, str]) -> None:
        super().__init__(f"case {row['case']} was changed elsewhere in the meantime")
        self.row = dict(row)


class Verdicts:
    """The table of verdicts: one row a case, written whole at every change.

    A change is on disk when :meth:`save` returns. It is written to a temporary file that then takes the table's name,
    under a lock that other processes respect, so a kill leaves the table before or after the change. Columns that
    somebody added are kept.

    ``revision`` counts a case's changes. Whoever saves says which revision was seen, and never replaces a newer one.
    ``result`` is the digest of the report that was judged: it tells a verdict on an older segmentation.

    Args:
        file: the table; made at the first verdict.
    """

    def __init__(self, file: str | os.PathLike) -> None:
        self.file = Path(file)
        self.lock = FileLock(self.file.with_name(f".{self.file.name}.lock"))

    def read(self) -> dict[str, dict[str, str]]:
        """The rows by case.

        Raises:
            ValueError: the file is not such a table.

        Example:
            >>> Verdicts("nowhere/review.csv").read()
            {}
        """
        if not self.file.exists():
            return {}
        try:
            with self.file.open(encoding="utf-8-sig", newline="") as opened:
                reader = csv.DictReader(opened, strict=True)
                columns, rows = set(reader.fieldnames or ()), list(reader)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{self.file} is no table of verdicts ({error}); move it away to begin one") from error
        if set(COLUMNS) - columns or any(None in row or None in row.values() for row in rows):
            raise ValueError(
                f"{self.file} is no table of verdicts with the columns {', '.join(COLUMNS)} separated by commas; "
                "save it so, or move it away to begin one"
            )
        return {row["case"]: row for row in rows}

    def save(self, case: str, verdict: str, note: str, seen: int, result: str) -> dict[str, str]:
        """Writes a verdict and returns its row.

        Args:
            case: its name.
            verdict: one of ``VERDICTS``; the first takes a verdict back.
            note: free text.
            seen: the revision that the reviewer saw, 0 for a case without a row.
            result: digest of the report that was judged.

        Raises:
            OtherVerdict: the file holds another revision than the one seen.
            ValueError: the verdict is unknown, the note too long, or the file no table of verdicts.
        """
        if verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(VERDICTS[1:])} or empty, got {verdict!r}")
        if len(note) > LONGEST_NOTE:
            raise ValueError(f"a note has at most {LONGEST_NOTE} characters, got {len(note)}")
        with self.lock:
            rows = self.read()
            before = rows.get(case)
            revision = int(before["revision"]) if before and before["revision"].isdigit() else 0
            if before and revision != seen:
                raise OtherVerdict(before)
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            values = (case, verdict, note.replace("\0", ""), now, str(revision + 1), result)
            rows[case] = {**(before or {}), **dict(zip(COLUMNS, values, strict=True))}
            self._write(rows)
        return rows[case]

    def _write(self, rows: Mapping[str, Mapping[str, str]]) -> None:
        columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows.values() for name in row)]))
        with whole_file(self.file) as temporary, temporary.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
            opened.flush()
            os.fsync(opened.fileno())
