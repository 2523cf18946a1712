"""The files of a confidence study."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dam_components.atomic_files import write_whole
from dam_components.confidence.case_evidence import CALIBRATED
from dam_components.confidence.evidence_curves import draw_curves
from dam_components.confidence.evidence_table import (
    agreement_table,
    case_rows,
    markdown_table,
    score_table,
    show_scores,
)
from dam_components.figures.pictures import save_figure
from dam_study.confidence.fold_study import CASE_SCORES, FoldStudy
from dam_study.confidence.review_flags import flag_table
from dam_study.confidence.rival_scores import ALL_SCORES

__all__ = ["write_study"]

REVIEW_BELOW = 0.8  # as in the bundle's inference
CASES = (
    "`constant` is the mean true Dice of the other cases: who predicts worse than that knows nothing of the case. "
    "Only D is calibrated here; `python -m dam_study case_number` compares all scores with the same calibration."
)
FLAGS = (
    "A case is flagged where the predicted Dice of a class is below the limit, as inference does it (by D, or by "
    "D, calibrated where there is a calibration). found: share of the bad cases that are flagged; right: share of the "
    "flagged cases that are bad."
)


def write_study(
    folder: str | os.PathLike,
    studies: Sequence[FoldStudy],
    facts: Mapping[str, str],
    resamples: int,
    seed: int,
) -> str:
    """Writes confidence.csv, agreement.csv, cases.csv, confidence.png and confidence.md, and returns the last.

    Args:
        folder: where to; made if missing.
        studies: the folds, pooled; all with the same scores, ``D`` among them.
        facts: what the numbers come from, ``command`` among them, in the order in which they are told.
        resamples: of the bootstrap over cases.
        seed: of its draws.
    """
    clean = [case for study in studies for case in study.clean]
    spoilt = [case for study in studies for case in study.spoilt]
    case_scores = [name for name in (*CASE_SCORES, CALIBRATED) if name in clean[0].predicted_dice]
    table = score_table(clean, resamples, seed)
    rows = case_rows([*clean, *spoilt], studies[0].class_names, case_scores)
    agreement = agreement_table(rows)
    text = _report(facts, table, rows, agreement)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("confidence.csv", table.to_csv(index=False)),
        ("agreement.csv", agreement.to_csv(index=False)),
        ("cases.csv", rows.to_csv(index=False)),
        ("confidence.md", text),
    ):
        write_whole(path / name, content)
    save_figure(draw_curves(clean, rows), path / "confidence.png")
    return text


def _report(facts: Mapping[str, str], table: pd.DataFrame, rows: pd.DataFrame, agreement: pd.DataFrame) -> str:
    rest = {name: fact for name, fact in facts.items() if name != "command"}
    parts = ["# Confidence study", f"```\n{facts['command']}\n```", "\n".join(f"- {k}: {v}" for k, v in rest.items())]
    parts.append("\n".join(f"- `{name}`: {ALL_SCORES[name]}" for name in table["score"].unique()))
    for region, title in (("band", "Near the structures"), ("volume", "Over the whole volume")):
        parts += [f"## {title}", markdown_table(show_scores(table, region))]
    # each hard kind by class is in agreement.csv; here it would bury the rest
    told = agreement[agreement["cases"].str.startswith("clean") | (agreement["class"] == "mean")]
    parts += ["## Predicted and true Dice of a case", CASES, markdown_table(told)]
    parts += [f"## Cases with a class below {REVIEW_BELOW:g}", FLAGS, markdown_table(flag_table(rows, REVIEW_BELOW))]
    return "\n\n".join(parts) + "\n"
