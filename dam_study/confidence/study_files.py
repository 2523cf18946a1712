"""The files of a confidence study."""

from __future__ import annotations

import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dam_components.atomic_files import write_whole
from dam_components.confidence.case_evidence import CaseEvidence
from dam_components.confidence.evidence_curves import draw_curves
from dam_components.confidence.evidence_table import (
    agreement_table,
    case_rows,
    markdown_table,
    score_table,
    show_scores,
)
from dam_components.figures.pictures import save_figure
from dam_study.confidence.review_flags import flag_table
from dam_study.confidence.rival_scores import ALL_SCORES

__all__ = ["describe_machine", "shell_command", "write_study"]

REVIEW_BELOW = 0.8  # as in the bundle's inference
CASES = "`constant` is the mean true Dice of the other cases: who predicts worse than that knows nothing of the case."
FLAGS = (
    "A case is flagged where the predicted Dice of a class is below the limit, as inference does it (by D, or by "
    "D, calibrated where there is a calibration). found: share of the bad cases that are flagged; right: share of the "
    "flagged cases that are bad."
)


def write_study(
    folder: str | os.PathLike,
    clean: Sequence[CaseEvidence],
    spoilt: Sequence[CaseEvidence],
    class_names: Sequence[str],
    case_scores: Sequence[str],
    facts: Mapping[str, str],
    resamples: int,
    seed: int,
) -> str:
    """Writes confidence.csv, agreement.csv, cases.csv, confidence.png and confidence.md, and returns the last.

    Args:
        folder: where to; made if missing.
        clean: the cases, all with the same scores, ``D`` among them.
        spoilt: the hard ones, or none.
        class_names: without the background.
        case_scores: scores of all cases that predict Dice.
        facts: what the numbers come from, ``command`` among them, in the order in which they are told.
        resamples: of the bootstrap over cases.
        seed: of its draws.
    """
    table = score_table(clean, resamples, seed)
    rows = case_rows([*clean, *spoilt], class_names, case_scores)
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


def shell_command(command: str, asked: Mapping[str, Any]) -> str:
    """The command line of a command of this package with these options; ``None`` and the empty string are left out.

    Example:
        >>> shell_command("confidence", {"bundle": "bundle", "fold": None, "flip_axes": (0, 1), "hard": True})
        'python -m dam_study confidence --bundle bundle --flip_axes 0,1 --hard True'
    """
    words = ["python", "-m", "dam_study", command]
    for name, value in asked.items():
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        text = json.dumps(value) if isinstance(value, dict) else text
        words += [] if value is None or not text else [f"--{name}", text]
    return shlex.join(words)


def describe_machine(device: torch.device) -> str:
    """The kind of machine that the times were taken on."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


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
