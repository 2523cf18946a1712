"""Each system against a reference on the same cases: is the difference more than chance?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from dam_study.report.system_tables import MEASURES
from dam_study.statistics.significance import holm, paired_difference

__all__ = ["difference_table", "show_differences"]

LEVEL = 0.05
REGION_METRICS = ("dice",)
WHOLE_METRICS = ("dice", "asd_mm", "promise12")


def difference_table(
    values: Mapping[str, pd.DataFrame],
    systems: Sequence[str],
    reference: str,
    resamples: int = 2000,
    permutations: int = 9999,
    seed: int = 0,
    by_seed: Mapping[str, Mapping[int, pd.DataFrame]] | None = None,
) -> pd.DataFrame:
    """A row a measure and system: mean paired difference to the reference over cases, its interval and tests.

    Measures: DSC of every organ and region, ASD of whole organs, PROMISE12 score. Holm's correction is over the systems
    of one measure. ``significant`` asks of a difference that both its Wilcoxon p after Holm and its own p under
    shuffled labels (random signs) are below 0.05, and that no seed's own mean is on the other side: the tests know the
    spread over cases, not that over trainings.

    Args:
        values: by system, of :func:`~dam_study.experiments.case_values.case_values`: its own and the reference's, over
            the folds and seeds that both have, so that no seed's luck is taken for a system's.
        systems: in the order of the rows; those without values are left out.
        reference: the system that the others are compared with.
        resamples: of the bootstrap over cases.
        permutations: of the test on shuffled labels.
        seed: of both.
        by_seed: the same values, of one seed each; for ``seed_low`` and ``seed_high``, the least and the greatest mean
            difference of a seed.
    """
    found: list[dict[str, Any]] = []
    for name in systems:
        if name == reference or name not in values:
            continue
        for (label, region, metric), part in values[name].groupby(["label", "region", "metric"], sort=True):
            if metric not in (WHOLE_METRICS if region == "whole" else REGION_METRICS):
                continue
            wide = part.pivot(index="case", columns="system", values="value").sort_index()
            ours, theirs = wide[name].to_numpy(), wide[reference].to_numpy()
            test = paired_difference(ours, theirs, resamples, permutations, seed)
            names = {"label": label, "region": region, "metric": metric, "system": name, "reference": reference}
            of_seeds = [
                _mean_difference(each, (label, region, metric), name, reference)
                for each in (by_seed or {}).get(name, {}).values()
            ]
            spread = {"seed_low": min(of_seeds, default=np.nan), "seed_high": max(of_seeds, default=np.nan)}
            found.append(names | test._asdict() | spread)
    rows = []
    measure = itemgetter("label", "region", "metric")
    for _, group in groupby(sorted(found, key=measure), measure):
        tests = list(group)
        for row, corrected in zip(tests, holm([test["wilcoxon_p"] for test in tests]), strict=True):
            divided = row["seed_low"] * row["seed_high"] < 0
            certain = bool(corrected < LEVEL and row["permutation_p"] < LEVEL and not divided)
            rows.append(row | {"holm_p": corrected, "significant": certain})
    columns = ["label", "region", "metric", "system", "reference", "cases", "difference", "low", "high"]
    columns += ["wilcoxon_p", "holm_p", "permutation_p", "seed_low", "seed_high", "significant"]
    return pd.DataFrame(rows, columns=columns)


def _mean_difference(values: pd.DataFrame, measure: tuple[Any, Any, Any], system: str, reference: str) -> float:
    part = values[(values[["label", "region", "metric"]] == measure).all(axis=1)]
    wide = part.pivot(index="case", columns="system", values="value")
    return float((wide[system] - wide[reference]).mean())


def show_differences(table: pd.DataFrame, seeds: dict[str, str]) -> pd.DataFrame:
    """Rows of :func:`difference_table` of one metric for reading; DSC in percent.

    Args:
        table: the rows.
        seeds: those that each system shares with the reference, as text.
    """
    shown = []
    for row in table.to_dict("records"):
        title, factor, digits = MEASURES[row["metric"]]
        ends = ("difference", "low", "high", "seed_low", "seed_high")
        middle, low, high, least, most = (f"{factor * row[end]:+.{digits}f}" for end in ends)
        shown.append(
            {
                "system": row["system"],
                "organ": row["label"],
                "region": row["region"],
                f"{title}, minus {row['reference']} [95 %]": f"{middle} [{low}, {high}]" if row["cases"] else "",
                "Wilcoxon p": show_p(row["wilcoxon_p"]),
                "Holm p": show_p(row["holm_p"]),
                "permutation p": show_p(row["permutation_p"]),
                "by seed": "" if np.isnan(row["seed_low"]) else f"{least} to {most}",
                "significant": "yes" if row["significant"] else "no",
                "cases": row["cases"],
                "shared seeds": seeds[row["system"]],
            }
        )
    return pd.DataFrame(shown)


def show_p(p: float) -> str:
    """A p-value for reading.

    Example:
        >>> show_p(0.0312), show_p(2e-6), show_p(float("nan"))
        ('0.0312', '< 0.0001', '')
    """
    return "" if np.isnan(p) else "< 0.0001" if p < 1e-4 else f"{p:.4f}"
