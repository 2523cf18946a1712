"""Tables of a confidence study: how each score finds errors, and how predicted Dice agrees with true Dice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from dam_components.confidence.case_evidence import CALIBRATED, VOXEL_REGIONS, CaseEvidence, relative_times
from dam_components.metrics import (
    ScoreHistogram,
    bootstrap_pooled,
    case_agreement,
    percentile_interval,
    pooled_calibration_error,
)

__all__ = ["MEASURES", "agreement_table", "case_rows", "markdown_table", "score_table", "show_scores"]

CONSTANT = "constant"  # the baseline of predicted Dice: what somebody knows who looks at no image

MEASURES = {
    "auroc": lambda counts: ScoreHistogram(*counts).auroc(),
    "aupr": lambda counts: ScoreHistogram(*counts).aupr(),
    "aurc": lambda counts: ScoreHistogram(*counts).aurc(),
    "ece": pooled_calibration_error,
}


def score_table(cases: Sequence[CaseEvidence], resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """A row a region and score: each measure with its 95 % interval over cases, and D's minus it with its interval.

    A difference above 0 speaks for D in ``auroc`` and ``aupr``, one below 0 in ``aurc`` and ``ece``. ``ece`` is empty
    where a score is no probability. ``relative_time`` is the time of S with the score over that of S alone.

    Args:
        cases: all with the same scores, ``D`` among them.
        resamples: of the bootstrap over cases, the same draws for all scores.
        seed: of the draws.
    """
    names, times, rows = [*cases[0].seconds], relative_times(cases), []
    names.remove("S")
    for region in VOXEL_REGIONS:
        found: dict[str, dict[str, np.ndarray]] = {}
        for name in tqdm(names, desc=f"bootstrap, {region}", unit="score", leave=False):
            found[name] = {}
            for measure, statistic in MEASURES.items():
                counts = [
                    counted[region, name]
                    for case in cases
                    if (region, name) in (counted := case.calibration if measure == "ece" else case.histograms)
                ]
                if counts:
                    found[name][measure] = bootstrap_pooled(np.stack(counts), statistic, resamples, seed)
        for name in names:
            row: dict[str, object] = {"region": region, "score": name}
            for measure in MEASURES:
                values, of_d = found[name].get(measure), found["D"][measure]
                own = difference = (np.nan, np.nan, np.nan)
                if values is not None:
                    own = percentile_interval(values)
                    difference = percentile_interval(of_d - values) if name != "D" else difference
                for part, numbers in ((measure, own), (f"{measure}_difference", difference)):
                    row |= {part: numbers[0], f"{part}_low": numbers[1], f"{part}_high": numbers[2]}
            rows.append(row | {"relative_time": times[name]})
    return pd.DataFrame(rows)


def show_scores(table: pd.DataFrame, region: str) -> pd.DataFrame:
    """The region's rows of :func:`score_table` for reading: value and interval, and D's lead, in one cell each."""

    def cell(row: pd.Series, name: str, sign: str) -> str:
        value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
        return "" if np.isnan(value) else f"{value:{sign}.4f} [{low:{sign}.4f}, {high:{sign}.4f}]"

    rows = table[table["region"] == region]
    shown = {"score": rows["score"]}
    for measure in MEASURES:
        title = measure.upper()
        shown[title] = rows.apply(cell, axis=1, name=measure, sign="")
        shown[f"{title}, D minus it"] = rows.apply(cell, axis=1, name=f"{measure}_difference", sign="+")
    shown["time, S = 1"] = rows["relative_time"].map("{:.2f}".format)
    return pd.DataFrame(shown)


def case_rows(cases: Sequence[CaseEvidence], class_names: Sequence[str], scores: Sequence[str]) -> pd.DataFrame:
    """A row a case, kind and class, and one for the mean of the classes: true Dice, and predicted by each score.

    Calibrated cases have the ends of their intervals too; their mean has none.
    """
    rows = []
    for case in cases:
        columns = {"true_dice": case.true_dice} | {f"predicted_dice_{s}": case.predicted_dice[s] for s in scores}
        for i, name in enumerate([*class_names, "mean"]):
            values = {key: float(v.mean() if name == "mean" else v[i]) for key, v in columns.items()}
            if case.interval is not None:
                low, high = (np.nan, np.nan) if name == "mean" else case.interval[:, i]
                values |= {"interval_low": float(low), "interval_high": float(high)}
            rows.append({"case": case.case, "kind": case.kind, "class": name, **values})
    return pd.DataFrame(rows)


def agreement_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Spearman and mean absolute error of predicted and true Dice, by group of cases, class and score.

    Where cases are calibrated, ``interval_coverage`` is the share of true Dice inside their intervals, and
    ``interval_width`` the mean width of these; of the mean they are those of all classes together. Classes that S
    predicts nowhere have no interval and do not count. The score ``constant`` is the mean true Dice of the group's
    other cases: a prediction with a larger error knows less of a case than that.

    Groups: ``clean``, and where there are hard cases ``clean and hard`` and each kind of hard case.

    Args:
        rows: of :func:`case_rows`.
    """
    hard = [kind for kind in rows["kind"].unique() if kind != "clean"]
    groups = {"clean": ["clean"], **({"clean and hard": ["clean", *hard]} if hard else {}), **{k: [k] for k in hard}}
    found = []
    for group, kinds in groups.items():
        of_group = rows[rows["kind"].isin(kinds)]
        for name in rows["class"].unique():
            part = of_group[of_group["class"] == name]
            for column in (c for c in rows.columns if c.startswith("predicted_dice_")):
                agreement = case_agreement(part[column].to_numpy(), part["true_dice"].to_numpy())
                row = {
                    "cases": group,
                    "class": name,
                    "score": column.removeprefix("predicted_dice_"),
                    "n": len(part),
                    "true_dice": part["true_dice"].mean(),
                    "predicted_dice": part[column].mean(),
                    "spearman": agreement.spearman,
                    "mean_absolute_error": agreement.mean_absolute_error,
                }
                if row["score"] == CALIBRATED:
                    row |= _intervals(of_group if name == "mean" else part)
                found.append(row)
            if len(part) > 1:
                true = part["true_dice"]
                others = (true.sum() - true) / (len(true) - 1)
                found.append(
                    {
                        "cases": group,
                        "class": name,
                        "score": CONSTANT,
                        "n": len(part),
                        "true_dice": true.mean(),
                        "predicted_dice": others.mean(),
                        "mean_absolute_error": (others - true).abs().mean(),
                    }
                )
    return pd.DataFrame(found)


def markdown_table(frame: pd.DataFrame) -> str:
    """The frame in Markdown, numbers to four digits, nan as an empty cell.

    Example:
        >>> print(markdown_table(pd.DataFrame({"score": ["D"], "auroc": [0.95]})))
        | score | auroc |
        |---|---|
        | D | 0.9500 |
    """
    lines = [list(frame.columns), ["---"] * frame.shape[1]]
    for row in frame.itertuples(index=False):
        lines.append(["" if pd.isna(v) else f"{v:.4f}" if isinstance(v, float) else str(v) for v in row])
    text = [" | ".join(line) for line in lines]
    text[1] = text[1].replace(" ", "")
    return "\n".join(f"|{t}|" if i == 1 else f"| {t} |" for i, t in enumerate(text))


def _intervals(rows: pd.DataFrame) -> dict[str, float]:
    held = rows.dropna(subset=["interval_low", "interval_high"])
    return {
        "interval_coverage": float(held["true_dice"].between(held["interval_low"], held["interval_high"]).mean()),
        "interval_width": float((held["interval_high"] - held["interval_low"]).mean()),
    }
