"""The report of one data set: tables as CSV and Markdown, pictures, and one page that holds all of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dam_components.atomic_files import write_whole
from dam_components.confidence.evidence_table import markdown_table
from dam_study.experiments.case_values import MEAN, case_values
from dam_study.experiments.cell_facts import cell_commands, fact_table, missing_cells, seeds_of
from dam_study.experiments.cell_settings import check_same_settings, differing_settings
from dam_study.experiments.finished_cell import FinishedCell, read_metrics
from dam_study.report.difficulty_table import difficulty_table
from dam_study.report.system_curves import read_curves
from dam_study.report.system_differences import difference_table, show_differences
from dam_study.report.system_pictures import image_pictures, number_pictures
from dam_study.report.system_tables import summary_table, table_1, table_2, table_3

__all__ = ["order_systems", "write_page"]

# The and the paper's order; others follow by name.
ORDER: tuple[str, ...] = (
    *("malf", "ssae", "unet", "vnet", "dsresunet", "enunet_ce", "enunet_focal", "enunet_hybrid", "adversarial"),
    *("organ", "voxel", "proposed", "proposed_correctness", "paper", "default", "default_flips"),
)
NOTES = (
    "Mean (standard deviation) over cases; the seeds of a case are averaged first, the folds pooled. `*k`: k values of "
    "a case and seed are not defined, as the distance to an empty segmentation is none; they are left out of the mean.",
    "Paired over cases, of the folds and seeds that both systems have; the interval is a bootstrap's over cases; "
    "Wilcoxon's signed-rank test with Holm's correction over the systems of one measure; permutation: the mean under "
    "random signs, that is with the two systems' labels "
    "shuffled in each case. By seed: the least and the greatest mean difference of one seed. Significant: Holm p and "
    "permutation p are both below 0.05, and no seed is on the other side. The tests know the spread over cases; that "
    "over trainings is in the seeds alone.",
    "The masks of Figure 4 at the last kept epoch, in one slice: mean (least to greatest) over cells. Attention needs "
    "a mask that varies, and is high where S is wrong: one that does not weighs all voxels alike.",
)


def write_page(
    folder: Path,
    cells: Sequence[FinishedCell],
    reference: str,
    order: Sequence[str] = (),
    pictures: bool = True,
    pictures_of_images: bool = True,
    resamples: int = 2000,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Writes tables, pictures and report.md of one data set; from the cells' files alone, so that the same cells give
    the same bytes.

    Args:
        folder: where to; made if missing.
        cells: of one data set; those not finished are listed as missing.
        reference: the system that the others are compared with; without cells of it there is no such table.
        order: of the systems, the rest follow.
        pictures: any at all.
        pictures_of_images: also those that show images.
        resamples: of the bootstrap over cases.
        options: of the command, for its line in the report.

    Returns:
        report.md.

    Raises:
        ValueError: if cells must not be mixed, or a file is damaged.
    """
    done = [cell for cell in cells if cell.done is not None]
    systems = order_systems({cell.system for cell in done}, order)
    done.sort(key=lambda cell: (systems.index(cell.system), cell.key))
    check_same_settings(done)
    tables = [(cell, read_metrics(cell)) for cell in done]
    parts = list(dict.fromkeys(tables[0][1][["label", "region"]].itertuples(index=False, name=None)))
    labels = list(dict.fromkeys(label for label, _ in parts))
    divided = [label for label in labels if {"base", "middle", "apex"} <= {r for other, r in parts if other == label}]
    values = case_values(tables)
    summary = summary_table(values, systems, resamples)
    epochs = {
        s: [int(r["epoch"].max()) for c in done if c.system == s and (r := read_curves(c)) is not None] for s in systems
    }
    cases = {system: values["case"][values["system"] == system].nunique() for system in systems}
    facts = fact_table(done, systems, cases, epochs)

    shown = {"Table 1. Organs": ("table1", table_1(summary, systems, labels))}
    for label in divided:
        name = f"_{label.replace(' ', '_')}" if len(divided) > 1 else ""
        shown[f"Table 2. {label}: whole, base and apex"] = (f"table2{name}", table_2(summary, systems, label))
        shown[f"Table 3. {label}: base, middle and apex"] = (f"table3{name}", table_3(summary, systems, label))
    text = [f"# {cells[0].data}", _command(cells[0].data, reference, order, options)]
    text += ["## Cells", markdown_table(facts.drop(columns="versions")), _versions(facts)]
    missing = missing_cells(cells, systems)
    text.append("Missing cells, which do not count:\n\n" + _bullets(missing) if missing else "No cell is missing.")
    files = {"summary.csv": summary, "cells.csv": facts}
    for title, (name, table) in shown.items():
        files[f"{name}.csv"] = table
        text += [f"## {title}", markdown_table(table)]
        text += [NOTES[0]] if name == "table1" else []
    text.append(f"## Differences to {reference}")
    if reference in systems and len(systems) > 1:
        shared = {name: shared_cells(done, name, reference) for name in systems}
        paired = {
            name: case_values([(cell, rows) for cell, rows in tables if cell in both])
            for name, both in shared.items()
            if both
        }
        seeds = {name: seeds_of(both).get(name, "") for name, both in shared.items()}
        of_seed = {
            name: {
                seed: case_values([(cell, rows) for cell, rows in tables if cell in both and cell.seed == seed])
                for seed in sorted({cell.seed for cell in both})
            }
            for name, both in shared.items()
        }
        differences = difference_table(paired, systems, reference, resamples, by_seed=of_seed)
        files["differences.csv"] = differences
        text += _differences(differences, MEAN if len(labels) > 1 else labels[0], seeds)
    else:
        text.append(f"None: there must be finished cells of {reference} and of another system.")

    masks = difficulty_table(done, systems) if pictures else pd.DataFrame()
    if len(masks):
        files["difficulty.csv"] = masks
        text += ["## What the attention sees", markdown_table(masks), NOTES[2]]

    folder.mkdir(parents=True, exist_ok=True)
    for file, table in files.items():
        write_whole(folder / file, table.to_csv(index=False, lineterminator="\n"))
    drawn = number_pictures(folder, done, summary, systems, labels) if pictures else []
    drawn += image_pictures(folder, done, values, systems, labels) if pictures and pictures_of_images else []
    text += ["## Figures"] if drawn else []
    text += [f"![{told}]({name})\n\n{told}" for name, told in drawn]
    if pictures and not pictures_of_images:
        text.append("Pictures that show images (Figures 2, 4 and 5) are left out.")
    text += ["## Commands", "The first cell of each system; `--fold` and `--seed` make the others."]
    text.append("```\n" + "\n".join(cell_commands(done, systems)) + "\n```")
    if reference in systems and len(systems) > 1:
        text.append(f"## Settings that are not those of {reference}")
        for system, entries in differing_settings(done, reference).items():
            lines = _bullets([f"`{name}`: `{value}`" for name, value in entries.items()])
            told = f"{system}: {len(entries)} entries"
            text.append(f"<details><summary>{told}</summary>\n\n{lines}\n\n</details>" if entries else told)
    write_whole(folder / "report.md", "\n\n".join(text) + "\n")
    return folder / "report.md"


def shared_cells(cells: Sequence[FinishedCell], system: str, reference: str) -> list[FinishedCell]:
    """The cells of both systems whose fold and seed both have."""
    keys = [{(cell.fold, cell.seed) for cell in cells if cell.system == name} for name in (system, reference)]
    both = keys[0] & keys[1]
    return [cell for cell in cells if cell.system in (system, reference) and (cell.fold, cell.seed) in both]


def order_systems(systems: set[str], order: Sequence[str] = ()) -> list[str]:
    """Systems as asked for, then the known ones, then by name.

    Example:
        >>> order_systems({"default", "unet", "paper", "a"}, ["paper"])
        ['paper', 'unet', 'default', 'a']
    """
    known = dict.fromkeys([*order, *ORDER, *sorted(systems)])
    return [name for name in known if name in systems]


def _differences(table: pd.DataFrame, main: str, seeds: dict[str, str]) -> list[str]:
    of_main = (table["label"] == main) & (table["region"] == "whole") & (table["metric"] == "dice")
    parts = [markdown_table(show_differences(table[of_main], seeds)), NOTES[1]]
    for metric, title in (("dice", "DSC by organ and region"), ("asd_mm", "ASD"), ("promise12", "PROMISE12 score")):
        rows = table[(table["metric"] == metric) & ~of_main]
        if len(rows):
            parts += [f"### {title}", markdown_table(show_differences(rows, seeds))]
    return parts


def _command(data: str, reference: str, order: Sequence[str], options: Mapping[str, Any] | None) -> str:
    asked = {"data": data, "reference": reference, "order": ",".join(order), **(options or {})}
    words = [word for name, value in asked.items() if value for word in (f"--{name}", str(value))]
    return f"Made from the cells' files alone by\n\n```\npython -m dam_study report {shlex.join(words)}\n```"


def _versions(facts: pd.DataFrame) -> str:
    by_versions = facts.groupby("versions", sort=False)["system"].agg(list)
    return "Versions:\n\n" + _bullets(
        [f"{', '.join(names)}: {versions or 'not told'}" for versions, names in by_versions.items()]
    )


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
