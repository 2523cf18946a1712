"""A case's report as the last of its files: where it lies, the case is finished."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from dam_components.atomic_files import write_whole

__all__ = ["WriteReportd", "write_report"]


class WriteReportd(MapTransform):
    """Writes the report that ``CaseReportd(report_key=...)`` made, and takes it out of the data.

    Run it after everything that writes a file of the case. Data without a report, such as a server's, pass untouched.

    Args:
        keys: the ``report_key`` of ``CaseReportd``.

    Example:
        >>> WriteReportd("report")({"image": 1})
        {'image': 1}
    """

    def __init__(self, keys: KeysCollection = "report") -> None:
        super().__init__(keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(dict(data)):
            report = result.pop(key)
            write_report(report["file"], report["report"])
        return result


def write_report(file: str | os.PathLike, report: Mapping[str, Any]) -> None:
    """Writes a report, whole or not at all."""
    write_whole(file, json.dumps(report, indent=2, allow_nan=False) + "\n")
