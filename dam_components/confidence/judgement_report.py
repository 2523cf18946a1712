"""The verdict on a D behind another model, in words and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dam_components.atomic_files import write_whole
from dam_components.confidence.case_evidence import CALIBRATED, CaseEvidence
from dam_components.confidence.doubt_scores import SCORES
from dam_components.confidence.evidence_curves import draw_curves
from dam_components.confidence.evidence_table import (
    agreement_table,
    case_rows,
    markdown_table,
    score_table,
    show_scores,
)
from dam_components.figures.pictures import save_figure
from dam_components.metrics import bootstrap_pooled, percentile_interval

__all__ = ["dice_lead", "verdict", "write_judgement"]

BETTER = {"auroc": 1, "aupr": 1, "ece": -1}  # the sign of a difference that speaks for D


def write_judgement(
    folder: Path,
    cases: Sequence[CaseEvidence],
    class_names: Sequence[str],
    facts: Mapping[str, str],
    resamples: int = 2000,
    seed: int = 0,
) -> str:
    """Writes confidence.csv, agreement.csv, cases.csv, confidence.png and confidence.md; gives the verdict.

    Args:
        folder: where to; made if missing.
        cases: judged by networks that did not learn from them, calibrated.
        class_names: without the background.
        facts: what the numbers come from, in the order in which they are told.
        resamples: of the bootstrap over cases.
        seed: of its draws.
    """
    table = score_table(cases, resamples, seed).drop(columns="relative_time")
    rows = case_rows(cases, class_names, ["D", "softmax", CALIBRATED])
    agreement = agreement_table(rows)
    words = verdict(table, dice_lead(rows, resamples, seed))
    parts = ["# Confidence behind stored probabilities", words]
    parts.append("\n".join(f"- {name}: {fact}" for name, fact in facts.items()))
    parts.append("\n".join(f"- `{name}`: {SCORES[name]}" for name in table["score"].unique()))
    for region, title in (("band", "Near the structures"), ("volume", "Over the whole volume")):
        parts += [f"## {title}", markdown_table(show_scores(table.assign(relative_time=np.nan), region).iloc[:, :-1])]
    told = "`constant` is the mean true Dice of the other cases: a prediction with a larger error is of no use."
    parts += ["## Predicted and true Dice of a case", told, markdown_table(agreement)]
    for name, content in (
        ("confidence.csv", table.to_csv(index=False)),
        ("agreement.csv", agreement.to_csv(index=False)),
        ("cases.csv", rows.to_csv(index=False)),
        ("confidence.md", "\n\n".join(parts) + "\n"),
    ):
        write_whole(folder / name, content)
    save_figure(draw_curves(cases, rows), folder / "confidence.png")
    return words


def dice_lead(rows: pd.DataFrame, resamples: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Error of D's calibrated Dice minus that of the constant, mean over cases, with its 95 % interval over cases.

    Args:
        rows: of :func:`~dam_components.confidence.evidence_table.case_rows`.
    """
    means = rows[rows["class"] == "mean"]
    true = means["true_dice"].to_numpy()
    others = (true.sum() - true) / max(len(true) - 1, 1)
    errors = np.abs(means[f"predicted_dice_{CALIBRATED}"].to_numpy() - true) - np.abs(others - true)
    counts = np.stack([errors, np.ones_like(errors)], axis=1)
    return percentile_interval(bootstrap_pooled(counts, lambda sums: sums[0] / sums[1], resamples, seed))


def verdict(table: pd.DataFrame, dice: tuple[float, float, float]) -> str:
    """What the table says, in sentences: where D helps, where it does not, and what to do then.

    Args:
        table: of :func:`~dam_components.confidence.evidence_table.score_table`.
        dice: of :func:`dice_lead`.
    """
    band = table[table["region"] == "band"].set_index("score")
    better, lines = True, []
    rows: dict[str, Any] = {str(name): row for name, row in band.iterrows()}
    for rival in ("softmax", "entropy", "temperature"):  # isotonic orders voxels as softmax does
        found = {measure: _compare(rows[rival], measure) for measure in ("auroc", "aupr")}
        better &= all(word == "better" for word in found.values())
        texts = [f"{m.upper()} {_difference(rows[rival], m)}, {word}" for m, word in found.items()]
        lines.append(f"- Finding wrong voxels near the structures, D against {rival}: {'; '.join(texts)}.")
    word = _compare(rows["temperature"], "ece")
    for region, where in (("band", "near the structures"), ("volume", "over the whole volume")):
        ece = table[table["region"] == region].set_index("score")["ece"]
        lines.append(
            f"- Calibration error {where}: D {ece['D']:.4f}, softmax {ece['softmax']:.4f}, at a fitted temperature "
            f"{ece['temperature']:.4f}, behind a rising curve {ece['isotonic']:.4f}."
        )
    useful = dice[2] < 0
    known = "better than" if useful else "no better than"
    lines.append(
        f"- Predicted Dice is {known} always predicting the mean: mean error {dice[0]:+.4f} [{dice[1]:+.4f}, "
        f"{dice[2]:+.4f}] relative to that."
    )
    if better:
        head = "**D helps.** It finds this model's errors better than the model's own probabilities do."
    elif word == "better":
        head = (
            "**D helps in part.** Its map is better calibrated than the softmax at a fitted temperature, but it does "
            "not rank errors better than all of the model's own scores."
        )
    else:
        head = (
            "**D does not help here.** Use the softmax at a fitted temperature. D needs more cases, or finds no more."
        )
    return head + "\n\n" + "\n".join(lines)


def _compare(row: pd.Series, measure: str) -> str:
    """Whether D is better than the row's score by an interval over cases that excludes 0."""
    sign = BETTER[measure]
    low, high = sorted(sign * float(row[f"{measure}_difference_{end}"]) for end in ("low", "high"))
    return "better" if low > 0 else "worse" if high < 0 else "not clearly better"


def _difference(row: pd.Series, measure: str) -> str:
    value, low, high = (float(row[f"{measure}_difference{end}"]) for end in ("", "_low", "_high"))
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"
