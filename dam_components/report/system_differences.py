"""Each system against a reference on the same cases: is the difference more than chance?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dam_components.metrics.significance import holm, paired_difference
from dam_components.report.system_tables import MEASURES

__all__ = ["difference_table", "show_differences"]

LEVEL = 0.05
REGION_METRICS = ("dice",)
WHOLE_METRICS = ("dice", "asd_mm", "promise12")


def difference_table(
    values: pd.DataFrame,
    systems: Sequence[str],
    reference: str,
    resamples: int = 2000,
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """A row a measure and system: mean paired difference to the reference over cases, its interval and tests.

    Measures: DSC of every organ and region, ASD of whole organs, PROMISE12 score. Holm's correction is over the systems
    of one measure. ``significant`` asks of a difference that both its Wilcoxon p after Holm and its own p under
    shuffled labels (random signs) are below 0.05.

    Args:
        values: of :func:`~dam_components.report.case_values.case_values`.
        systems: in the order of the rows.
        reference: one of them.
        resamples: of the bootstrap over cases.
        permutations: of the test on shuffled labels.
        seed: of both.
    """
    rows = []
    for (label, region, metric), part in values.groupby(["label", "region", "metric"], sort=True):
        if metric not in (WHOLE_METRICS if region == "whole" else REGION_METRICS):
            continue
        wide = part.pivot(index="case", columns="system", values="value").sort_index()
        others = [name for name in systems if name in wide and name != reference]
        found = [
            paired_difference(wide[name].to_numpy(), wide[reference].to_numpy(), resamples, permutations, seed)
            for name in others
        ]
        for name, test, corrected in zip(others, found, holm([test.wilcoxon_p for test in found]), strict=True):
            names = {"label": label, "region": region, "metric": metric, "system": name, "reference": reference}
            certain = bool(corrected < LEVEL and test.permutation_p < LEVEL)
            rows.append(names | test._asdict() | {"holm_p": corrected, "significant": certain})
    columns = ["label", "region", "metric", "system", "reference", "cases", "difference", "low", "high"]
    columns += ["wilcoxon_p", "holm_p", "permutation_p", "significant"]
    return pd.DataFrame(rows, columns=columns)


def show_differences(table: pd.DataFrame, seeds: dict[str, str]) -> pd.DataFrame:
    """Rows of :func:`difference_table` of one metric for reading; DSC in percent.

    Args:
        table: the rows.
        seeds: of each system, as text.
    """
    shown = []
    for row in table.to_dict("records"):
        title, factor, digits = MEASURES[row["metric"]]
        middle, low, high = (f"{factor * row[end]:+.{digits}f}" for end in ("difference", "low", "high"))
        shown.append(
            {
                "system": row["system"],
                "organ": row["label"],
                "region": row["region"],
                f"{title}, minus {row['reference']} [95 %]": f"{middle} [{low}, {high}]" if row["cases"] else "",
                "Wilcoxon p": show_p(row["wilcoxon_p"]),
                "Holm p": show_p(row["holm_p"]),
                "permutation p": show_p(row["permutation_p"]),
                "significant": "yes" if row["significant"] else "no",
                "cases": row["cases"],
                "seeds": f"{seeds[row['system']]} against {seeds[row['reference']]}",
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
