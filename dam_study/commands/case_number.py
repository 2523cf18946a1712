"""``python -m dam_study case_number``: what the predicted Dice of a case is worth, judged fairly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dam_components.atomic_files import write_whole
from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.confidence.evidence_table import markdown_table
from dam_components.confidence.trained_bundle import comma_numbers, comma_words, named_entries
from dam_components.metrics.case_bootstrap import check_resamples
from dam_components.metrics.case_table import read_cases_csv
from dam_components.metrics.dice_interval import CLEAN
from dam_study.confidence.case_images import JUDGE, LEARN, CaseImages
from dam_study.confidence.case_tables import calibrated_images, flag_table, kind_table, rival_table
from dam_study.confidence.study_facts import describe_machine, shell_command

__all__ = ["case_number"]

RULE = (
    "Each score has the same calibration. It learns from the validation cases and judges the test cases. Without "
    "sections, it learns from the other folds of 5. The kind of image that it judges is never in it."
)
AURC = (
    "AURC: mean of 1 - Dice over the images kept, over all coverages, times 100; lower is better. Each kind has a "
    "calibration of its own, which can change the order of images of different kinds: the raw AURC has one order."
)


def case_number(
    bundle: str | None = None,
    data: str | None = None,
    output: str | None = None,
    weights: str | None = None,
    confidence_weights: str | None = None,
    overlay: str | Sequence[str] = (),
    fold: int | None = None,
    ensemble: str | Sequence[str] = (),
    flip_axes: int | str | Sequence[int] = 0,
    severity: float | str | Sequence[float] = (0.5, 1.0),
    limit: int | None = None,
    images: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Compares D's predicted Dice of a case with its rivals', each calibrated alike, and measures intervals and flags.

    Rivals: softmax, temperature, untrained (D before any training), the Dice between S on the plain and on the flipped
    image, and that between the S of an ensemble where other weights are given. Validation and test cases are spoilt in
    every way, with the severities in turn. Writes images.csv and case_number.md into the output folder.

    Args:
        bundle: the bundle's folder; by default the project's, beside the package.
        data: the dataset, Decathlon layout; by default the configuration's.
        output: where the results go; by default output/case_number in the bundle.
        weights: of S; by default the configuration's.
        confidence_weights: of D; likewise.
        overlay: configuration files on top, separated by commas.
        fold: by default the configuration's.
        ensemble: weights of networks like S trained apart, separated by commas.
        flip_axes: spatial axes of flips, separated by commas; the default is the one that training flips.
        severity: of the spoilt images, separated by commas; 1 is hard.
        limit: take only this many cases of a section, to try things out.
        images: an images.csv of an earlier run, or a cases.csv of the command confidence: no network is run then.
        resamples: of the bootstrap over cases.
        seed: of spoilt images, temperature's voxels and bootstrap.
        overrides: other entries of the configuration by name: '{"channels": [8, 16, 32, 64]}'.

    Raises:
        ValueError: for an option out of range; the message says what goes.
        FileNotFoundError: without the bundle, the data, the weights or the file.
    """
    asked = dict(locals())
    check_resamples(resamples)
    axes = comma_numbers(flip_axes, "flip_axes")
    severities = comma_numbers(severity, "severity", "positive numbers", float)
    root = bundle_folder(bundle)
    folder = Path(root / "output" / "case_number" if output is None else output)
    facts = {}
    if images is None:
        runs = CaseImages(
            root,
            comma_words(overlay),
            named_entries(data, weights, confidence_weights, fold, overrides),
            comma_words(ensemble),
            axes,
            limit,
            seed,
        )
        parts = [runs.rows(section, severities) for section in (LEARN, JUDGE)]
        rows = pd.concat(parts, ignore_index=True).round(6)
        write_whole(folder / "images.csv", rows.to_csv(index=False, lineterminator="\n"))
        facts["machine"] = describe_machine(runs.device)
    else:
        rows = stored_rows(Path(images))
    facts = {"data": _counts(rows), **facts}
    text = _page(shell_command("case_number", asked), facts, rows, resamples, seed)
    write_whole(folder / "case_number.md", text)
    print(text)


def stored_rows(file: Path) -> pd.DataFrame:
    """The rows of an images.csv, or those of single structures in a cases.csv, without what a calibration said.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it lacks a column.
    """
    rows = read_cases_csv(file)
    needed = ("case", "kind", "class", "true_dice", "predicted_dice_D")
    if missing := [name for name in needed if name not in rows]:
        raise ValueError(f"{file} has no column {missing[0]}: name an images.csv or cases.csv")
    rows = rows[rows["class"] != "mean"]
    return rows.drop(
        columns=[name for name in map(str, rows) if ", calibrated" in name or name.startswith("interval_")]
    )


def _counts(rows: pd.DataFrame) -> str:
    sections = [*rows.groupby("section", sort=False)] if "section" in rows else [("all", rows)]
    told = [
        f"section {name}: {part['case'].nunique()} cases, {len(part) // part['class'].nunique()} images of "
        f"{part['kind'].nunique()} kinds"
        for name, part in sections
    ]
    return "; ".join(told)


def _page(command: str, facts: Mapping[str, str], rows: pd.DataFrame, resamples: int, seed: int) -> str:
    judged = calibrated_images(rows)
    parts = ["# The number of a case", f"```\n{command}\n```", "\n".join(f"- {k}: {v}" for k, v in facts.items()), RULE]
    parts += ["## Scores", AURC, markdown_table(rival_table(judged, resamples, seed))]
    clean = judged[judged["kind"] == CLEAN]
    if len(clean) < len(judged):
        table = rival_table(clean, resamples, seed).drop(columns="error, spoilt")
        parts += ["### Clean images alone", markdown_table(table)]
    told = "Intervals of 90 % of D's calibrated Dice, each kind left out of the calibration. Clean images were in it."
    parts += ["## Each kind of image", told, markdown_table(kind_table(judged))]
    if "absent" in judged:
        told = "Share of images that each reason flags. `failed`: mean Dice below 0.5."
        parts += ["## Reasons to review", told, markdown_table(flag_table(judged))]
    return "\n\n".join(parts) + "\n"
