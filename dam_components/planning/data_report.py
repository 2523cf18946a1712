"""A dataset's fingerprint, the plan for it and what was found wrong, as Markdown for people and JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dam_components.data.dataset_layouts import SourceDataset
from dam_components.data.finding import LEVELS, Finding, at_level
from dam_components.planning.fingerprint import Fingerprint
from dam_components.planning.plan import Plan
from dam_components.planning.plan_geometry import target_spacing

__all__ = ["grid_note", "of_patients", "report_json", "report_markdown"]


def report_json(
    dataset: SourceDataset, fingerprint: Fingerprint, plan: Plan, findings: Sequence[Finding]
) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "data": str(dataset.folder),
        "layout": dataset.layout,
        "findings": [vars(finding) for finding in findings],
        "plan": plan.as_json(),
        "fingerprint": fingerprint.as_json(),
    }


def of_patients(dataset: SourceDataset) -> str:
    """How many patients the cases are of, where that are fewer."""
    return f" of {dataset.patients} patients" if dataset.patients < len(dataset.cases) else ""


def grid_note(fingerprint: Fingerprint, plan: Plan) -> str:
    """Why the grid is coarser than the images', where it is."""
    target = [*target_spacing(fingerprint.spacing_mm, fingerprint.shape)]
    if plan.spacing == target:
        return ""
    return (
        f"The grid is coarser than the images' {_sizes(np.array(target))} mm, so that a patch shows enough of an "
        "image; the labels survive it. A larger --patch_voxels keeps it finer."
    )


def report_markdown(dataset: SourceDataset, fingerprint: Fingerprint, plan: Plan, findings: Sequence[Finding]) -> str:
    """The same for people; the spread of sizes in place of each case's."""
    spacing, shape = np.array(fingerprint.spacing_mm), np.array(fingerprint.shape)
    lines = [
        f"# {dataset.name}: data and plan",
        "",
        f"{fingerprint.cases} labelled cases{of_patients(dataset)} in `{dataset.folder}` ({dataset.layout}). "
        "Axes: right, front, head. The rules: `dam_components/planning/plan.py`.",
        "",
        "## Findings",
        "",
        *([f"- {finding}" for level in LEVELS for finding in at_level(findings, level)] or ["None."]),
        "",
        "## Fingerprint",
        "",
        "| | smallest | median | largest |",
        "|---|---|---|---|",
        "| spacing, mm | " + " | ".join(_sizes(pick(spacing)) for pick in _SPREAD) + " |",
        "| voxels | " + " | ".join(_sizes(pick(shape)) for pick in _SPREAD) + " |",
        "",
        f"Coarsest over finest spacing: {fingerprint.anisotropy:g}.",
        "",
        "| label | share of the voxels | cases | in one piece, at least |",
        "|---|---|---|---|",
    ]
    for value, share in fingerprint.label_share.items():
        name = fingerprint.label_names.get(value, "background")
        piece = f"{fingerprint.largest_piece[value]:.1%}" if value in fingerprint.largest_piece else ""
        lines.append(f"| {value} {name} | {share:.4%} | {fingerprint.label_cases[value]} | {piece} |")
    lines += ["", "| intensity | 0.5 % | median | 99.5 % | mean | sd |", "|---|---|---|---|---|---|"]
    for place, channels in (("in the structures", fingerprint.inside), ("background", fingerprint.outside)):
        for name, channel in zip(fingerprint.channel_names, channels, strict=False):
            numbers = (channel.low, channel.median, channel.high, channel.mean, channel.sd)
            lines.append(f"| {name}, {place} | " + " | ".join(f"{number:.4g}" for number in numbers) + " |")
    lines += ["", "## Plan", ""] + ([note, ""] if (note := grid_note(fingerprint, plan)) else [])
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in plan.as_json().items()]
    return "\n".join(lines) + "\n"


_SPREAD = (lambda rows: rows.min(0), lambda rows: np.median(rows, axis=0), lambda rows: rows.max(0))


def _sizes(row: np.ndarray) -> str:
    return " x ".join(f"{value:.4g}" for value in row)
