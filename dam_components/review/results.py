"""The folder that inference wrote: its cases, and which of their files may be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dam_components.data.case_reports import find_reports, read_reports
from dam_components.metrics.case_table import read_cases_csv, whole_structures

__all__ = ["Results"]

TEST_CASES = Path("training", "test_cases")  # of a model's folder, as METRICS
METRICS = Path("training", "evaluation", "metrics.csv")


class Results:
    """The cases of a folder of results, and nothing else of it.

    A case is known by its report, and names are looked up among the reports: no path is ever made from what a browser
    sends. A file of a case must lie in the folder itself; a symbolic link that leads out of it is refused. The one
    exception is the image, which a report names and which may lie anywhere.

    Args:
        folder: what was ``output_dir`` in inference, or a model's folder that ``dam train`` left: then its test cases.
        images: look for the images here, by the file name in the report: for results that moved to another machine.

    Raises:
        FileNotFoundError: there is no such folder, or no report in it.
    """

    def __init__(self, folder: str | os.PathLike, images: str | os.PathLike | None = None) -> None:
        self.folder = Path(folder).resolve()
        self.model: Path | None = None
        if (self.folder / TEST_CASES).is_dir():
            self.model, self.folder = self.folder, self.folder / TEST_CASES
        self.images = None if images is None else Path(images)
        if self.images is not None and not self.images.is_dir():
            raise FileNotFoundError(f"there is no folder {self.images}; name the images' folder with --images")
        self._files: dict[Path, int] = {}
        self._reports: dict[str, dict[str, Any]] = {}
        if not self.worklist():
            raise FileNotFoundError(
                f"{self.folder} holds no <case>/<case>_report.json; name the folder that inference wrote (output_dir)"
            )

    def worklist(self) -> list[dict[str, Any]]:
        """All reports, those that need eyes first at the top; read again only where files have changed."""
        files = find_reports(self.folder)
        if files != self._files:
            self._reports = {report["case"]: report for report in read_reports(files)}
            self._files = files
        return list(self._reports.values())

    def model_page(self) -> Path:
        """The page of results that ``dam train`` wrote.

        Raises:
            FileNotFoundError: these results are no model's, or it has no page.
        """
        if self.model is None or not (self.model / "index.html").resolve().is_relative_to(self.model):
            raise FileNotFoundError(f"{self.folder} is not of a model's folder")
        return self.model / "index.html"

    def true_dice(self) -> dict[str, float]:
        """Each test case's mean Dice over its structures, where ``dam train`` evaluated them."""
        table = None if self.model is None else self.model / METRICS
        if table is None or not table.is_file():
            return {}
        rows = read_cases_csv(table)
        whole = whole_structures(rows)
        means = whole.groupby("case")["dice"].mean().dropna()
        return {str(case): float(dice) for case, dice in means.items()}

    def report(self, case: str) -> Mapping[str, Any]:
        """The report of a case.

        Raises:
            KeyError: there is no such case.
        """
        if case not in self._reports:
            raise KeyError(f"there is no case {case!r} in {self.folder}")
        return self._reports[case]

    def digest(self, case: str) -> str:
        """A short name of what was reported: another one after the case has been segmented again with other numbers."""
        return hashlib.sha256(self.file(case, "report.json").read_bytes()).hexdigest()[:16]

    def file(self, case: str, postfix: str) -> Path:
        """``<case>/<case>_<postfix>``.

        Raises:
            KeyError: there is no such case.
            FileNotFoundError: it has no such file in this folder.
        """
        self.report(case)
        path = (self.folder / case / f"{case}_{postfix}").resolve()
        if not path.is_relative_to(self.folder) or not path.is_file():
            raise FileNotFoundError(f"case {case} has no {case}_{postfix} in {self.folder / case}")
        return path

    def image(self, case: str) -> Path:
        """The image of a case, as its report names it.

        Raises:
            KeyError: there is no such case.
            FileNotFoundError: the image is not there.
        """
        named = Path(str(self.report(case)["image"]))
        path = named if self.images is None else self.images / named.name
        if not path.exists():
            raise FileNotFoundError(f"the image {path} is not there; start review with --images and its folder")
        return path
