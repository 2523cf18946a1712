"""``metadata.json`` of a bundle that travels: versions that are installed here, figures of its own table, a contact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dam_components.metrics.case_table import read_cases_csv, whole_structures

__all__ = ["table_of_tests", "zoo_metadata"]

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
COLUMNS = {"dice": "dice", "asd_mm": "asd_mm", "hd95_mm": "hd95_mm"}


def zoo_metadata(
    metadata: Mapping[str, Any],
    versions: Mapping[str, str],
    libraries: Mapping[str, str],
    contact: str,
    rows: pd.DataFrame | None,
) -> dict[str, Any]:
    """The bundle's metadata with what is true where it was packaged.

    The model zoo installs each version as it stands (``name==version``), so a version here is one, not a range: the
    one that the bundle was packaged with.

    Args:
        metadata: the bundle's own.
        versions: of torch, monai and numpy.
        libraries: version by name of everything else that its code imports.
        contact: whom a user of the model can ask.
        rows: of :func:`table_of_tests`; its means become ``eval_metrics``.
    """
    found = {
        **metadata,
        "schema": SCHEMA,
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": dict(libraries),
        "contact": contact,
    }
    if rows is not None:
        means = rows.groupby("label", sort=False)[list(COLUMNS)].mean()
        named = {
            f"{column}_{label}".replace(" ", "_"): round(float(value), 4)
            for label, row in means.iterrows()
            for column, value in row.items()
            if value == value  # a distance to a structure that nobody found is no number
        }
        found["eval_metrics"] = {
            "test_cases": int(rows["case"].nunique()),
            "mean_dice": round(float(means["dice"].mean()), 4),
            **named,
        }
    return found


def table_of_tests(bundle: Path) -> pd.DataFrame | None:
    """Rows of whole structures in the table of the bundle's test cases, ``docs/metrics.csv``; ``None`` without one."""
    file = bundle / "docs" / "metrics.csv"
    if not file.is_file():
        return None
    return whole_structures(read_cases_csv(file))
