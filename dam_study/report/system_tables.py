"""Tables of systems over organs and regions: the analogues of the paper's Tables 1, 2 and 3."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dam_study.experiments.case_values import MEAN
from dam_study.statistics.significance import mean_interval

__all__ = ["MEASURES", "summary_table", "table_1", "table_2", "table_3"]

MEASURES = {  # title, factor, digits
    "dice": ("DSC (%)", 100, 2),
    "asd_mm": ("ASD (mm)", 1, 3),
    "hd95_mm": ("95HD (mm)", 1, 2),
    "rvd_percent": ("RVD (%)", 1, 2),
    "promise12": ("score", 1, 2),
}
Frame = pd.DataFrame


def summary_table(values: Frame, systems: Sequence[str], resamples: int = 2000, seed: int = 0) -> Frame:
    """A row a system, label, region and metric: mean, standard deviation (n - 1) and 95 % interval over cases.

    ``cases`` counts the values in the mean, ``undefined`` the values of a case and seed that could not be.

    Args:
        values: of :func:`~dam_study.experiments.case_values.case_values`.
        systems: in the order of the rows.
        resamples: of the bootstrap over cases.
        seed: of its draws.
    """
    rows = []
    for (system, label, region, metric), part in values.groupby(["system", "label", "region", "metric"], sort=True):
        mean, low, high = mean_interval(part["value"], resamples, seed)
        rows.append(
            {
                "system": system,
                "label": label,
                "region": region,
                "metric": metric,
                "mean": mean,
                "standard_deviation": part["value"].std(),
                "low": low,
                "high": high,
                "cases": int(part["value"].notna().sum()),
                "undefined": int(part["undefined"].sum()),
            }
        )
    table = pd.DataFrame(rows)
    order = table["system"].map({name: i for i, name in enumerate(systems)})
    return table.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def table_1(summary: Frame, systems: Sequence[str], labels: Sequence[str]) -> Frame:
    """DSC and ASD of each whole organ, a row a system; the mean DSC of several organs with its interval."""
    columns = [(metric, label, "whole") for metric in ("dice", "asd_mm") for label in labels]
    table = _rows(summary, systems, columns, lambda metric, label, _: f"{MEASURES[metric][0]} {label}")
    if len(labels) > 1:
        table.insert(1 + len(labels), f"DSC (%) {MEAN} [95 %]", _intervals(summary, systems, MEAN))
    else:
        table[f"DSC (%) {labels[0]}"] = _intervals(summary, systems, labels[0])
        table = table.rename(columns={f"DSC (%) {labels[0]}": f"DSC (%) {labels[0]} [95 %]"})
    return table


def table_2(summary: Frame, systems: Sequence[str], label: str) -> Frame:
    """All four metrics of whole, base and apex of one organ, and the PROMISE12 score."""
    columns = [
        (metric, label, region)
        for metric in ("dice", "asd_mm", "hd95_mm", "rvd_percent")
        for region in ("whole", "base", "apex")
    ]
    return _rows(summary, systems, [*columns, ("promise12", label, "whole")], lambda m, _, r: _title_2(m, r))


def table_3(summary: Frame, systems: Sequence[str], label: str) -> Frame:
    """DSC of base, middle and apex of one organ."""
    columns = [("dice", label, region) for region in ("base", "middle", "apex")]
    return _rows(summary, systems, columns, lambda _, __, region: f"DSC (%) {region}")


def _title_2(metric: str, region: str) -> str:
    return MEASURES[metric][0] if metric == "promise12" else f"{MEASURES[metric][0]} {region}"


def _rows(summary: Frame, systems: Sequence[str], columns: Sequence[tuple[str, str, str]], title) -> Frame:
    shown = [{"system": s} | {title(*c): _cell(summary, s, *c) for c in columns} for s in systems]
    return pd.DataFrame(shown)


def _intervals(summary: Frame, systems: Sequence[str], label: str) -> list[str]:
    return [_cell(summary, system, "dice", label, "whole", interval=True) for system in systems]


def _cell(summary: Frame, system: str, metric: str, label: str, region: str, interval: bool = False) -> str:
    """Mean (standard deviation), and ``*k`` where k values are undefined."""
    of = summary[["system", "metric", "label", "region"]].eq([system, metric, label, region]).all(axis=1)
    if not of.any():
        return ""
    row = summary[of].iloc[0]
    _, factor, digits = MEASURES[metric]
    mark = f" *{row['undefined']}" if row["undefined"] else ""
    if not row["cases"]:
        return f"none{mark}"
    spread = f"{factor * row['standard_deviation']:.{digits}f}" if row["cases"] > 1 else "-"
    ends = f" [{factor * row['low']:.{digits}f}, {factor * row['high']:.{digits}f}]" if interval else ""
    return f"{factor * row['mean']:.{digits}f} ({spread}){ends}{mark}"
