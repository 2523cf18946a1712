"""Metrics of all cells of a data set, a value a system, measure and case: seeds averaged, folds pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dam_study.experiments.finished_cell import METRICS, FinishedCell
from dam_study.statistics.promise12 import SCORED_REGIONS, promise12_score

__all__ = ["MEAN", "case_values"]

MEAN = "mean of organs"
KEYS = ["system", "label", "region", "metric", "case"]


def case_values(tables: Sequence[tuple[FinishedCell, pd.DataFrame]]) -> pd.DataFrame:
    """A row a system, label, region, metric and case: the mean over seeds, and how many values it lacks.

    Beside the metrics of the files there is the PROMISE12 score (``promise12``, of region ``whole``) of a label with
    base and apex, and with several labels the mean of a case over them (label :data:`MEAN`: ``dice``, ``asd_mm``). A
    value that is not defined (the distance to an empty mask) is left out of the mean over seeds and counted in
    ``undefined``; a mean over labels with one such label is not defined either.

    Args:
        tables: cells and their rows, of one data set.

    Raises:
        ValueError: if a case is in two cells of one system and seed, or cells measure different labels or regions.
    """
    seen: dict[tuple[str, int, str], FinishedCell] = {}
    measured: list[tuple[str, str]] = []
    long = []
    for cell, rows in tables:
        parts = list(rows[["label", "region"]].drop_duplicates().itertuples(index=False, name=None))
        measured = measured or parts
        if parts != measured:
            raise ValueError(
                f"{cell.folder / 'metrics.csv'} measures {_names(parts)}, {tables[0][0].folder / 'metrics.csv'} "
                f"{_names(measured)}: run the cells with the same label_names and regions"
            )
        for case in rows["case"].unique():
            other = seen.setdefault((cell.system, cell.seed, case), cell)
            if other is not cell:
                raise ValueError(
                    f"case {case} is in {other.folder} and in {cell.folder}, of one system and seed: "
                    "each case may be tested once; were the folds changed between the runs?"
                )
        part = rows.melt(["case", "label", "region"], METRICS, "metric", "value")
        long.append(pd.concat([part, *_derived(rows)]).assign(system=cell.system))
    groups = pd.concat(long).groupby(KEYS, sort=True)["value"]
    found = groups.agg(value="mean", undefined=lambda v: int(v.isna().sum()), seeds="size").reset_index()
    return found.astype({"undefined": int})


def _derived(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Scores, and means over labels, as long rows."""
    records = [
        {"case": case, "label": label, "metric": "promise12", "value": promise12_score(_records(part))}
        for (case, label), part in rows.groupby(["case", "label"], sort=False)
        if set(SCORED_REGIONS) <= set(part["region"])
    ]
    whole = rows[rows["region"] == "whole"]
    if whole["label"].nunique() > 1:
        for case, part in whole.groupby("case", sort=False):
            for metric in ("dice", "asd_mm"):
                records.append(
                    {"case": case, "label": MEAN, "metric": metric, "value": part[metric].mean(skipna=False)}
                )
    return [pd.DataFrame(records).assign(region="whole")] if records else []


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _names(parts: Sequence[tuple[str, str]]) -> str:
    by_label: Mapping[str, list[str]] = {label: [r for other, r in parts if other == label] for label, _ in parts}
    return "; ".join(f"{label}: {', '.join(regions)}" for label, regions in by_label.items())
