"""The parts of a data set's page, in Markdown, and the tables that lie beside it as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from dam_components.confidence.evidence_table import markdown_table
from dam_study.experiments.case_values import MEAN
from dam_study.experiments.cell_facts import cell_commands, fact_table, missing_cells, seeds_of
from dam_study.experiments.cell_settings import differing_settings
from dam_study.report.difficulty_table import difficulty_table
from dam_study.report.page_cells import PageCells
from dam_study.report.system_curves import read_curves
from dam_study.report.system_differences import difference_table, show_differences
from dam_study.report.system_tables import table_1, table_2, table_3

__all__ = [
    "PagePart",
    "attention_part",
    "cells_part",
    "commands_part",
    "differences_part",
    "settings_part",
    "tables_part",
]

CELL_VALUES = (
    "Mean (standard deviation) over cases; the seeds of a case are averaged first, the folds pooled. `*k`: k values of "
    "a case and seed are not defined, as the distance to an empty segmentation is none; they are left out of the mean."
)
TESTS = (
    "Paired over cases, of the folds and seeds that both systems have; the interval is a bootstrap's over cases; "
    "Wilcoxon's signed-rank test with Holm's correction over the systems of one measure; permutation: the mean under "
    "random signs, that is with the two systems' labels "
    "shuffled in each case. By seed: the least and the greatest mean difference of one seed. Significant: Holm p and "
    "permutation p are both below 0.05, and no seed is on the other side. The tests know the spread over cases; that "
    "over trainings is in the seeds alone."
)
MASKS = (
    "The masks of Figure 4 at the last kept epoch, in one slice: mean (least to greatest) over cells. Attention needs "
    "a mask that varies, and is high where S is wrong: one that does not weighs all voxels alike."
)


@dataclass
class PagePart:
    """Paragraphs of the page, and tables by the name of their CSV file."""

    text: list[str]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def cells_part(page: PageCells) -> PagePart:
    """Which cells the numbers are from, and which are missing."""
    epochs = {}
    for system in page.systems:
        curves = [read_curves(cell) for cell in page.of_system(system)]
        epochs[system] = [int(rows["epoch"].max()) for rows in curves if rows is not None]
    cases = page.values.groupby("system")["case"].nunique()
    facts = fact_table(page.done, page.systems, {system: int(cases[system]) for system in page.systems}, epochs)
    missing = missing_cells(page.all, page.systems)
    told = "Missing cells, which do not count:\n\n" + _bullets(missing) if missing else "No cell is missing."
    text = ["## Cells", markdown_table(facts.drop(columns="versions")), _versions(facts), told]
    return PagePart(text, {"summary.csv": page.summary, "cells.csv": facts})


def tables_part(page: PageCells) -> PagePart:
    """The analogues of the paper's Tables 1 to 3; the last two for each organ that is measured by thirds."""
    first = table_1(page.summary, page.systems, page.labels)
    part = PagePart(["## Table 1. Organs", markdown_table(first), CELL_VALUES], {"table1.csv": first})
    divided = page.divided_labels
    for label in divided:
        end = f"_{label.replace(' ', '_')}" if len(divided) > 1 else ""
        for number, regions, table in (
            (2, "whole, base and apex", table_2(page.summary, page.systems, label)),
            (3, "base, middle and apex", table_3(page.summary, page.systems, label)),
        ):
            part.text += [f"## Table {number}. {label}: {regions}", markdown_table(table)]
            part.tables[f"table{number}{end}.csv"] = table
    return part


def differences_part(page: PageCells) -> PagePart:
    """Each system against the reference, with tests."""
    title = f"## Differences to {page.reference}"
    if not page.compared:
        return PagePart([title, f"None: there must be finished cells of {page.reference} and of another system."])
    shared = {system: page.shared_with_reference(system) for system in page.systems}
    shared = {system: cells for system, cells in shared.items() if cells}
    values = {system: page.values_of(cells) for system, cells in shared.items()}
    by_seed = {system: page.values_by_seed(cells) for system, cells in shared.items()}
    table = difference_table(values, page.systems, page.reference, page.resamples, by_seed=by_seed)
    seeds = {system: seeds_of(cells)[system] for system, cells in shared.items()}

    main = MEAN if len(page.labels) > 1 else page.labels[0]
    of_main = (table["label"] == main) & (table["region"] == "whole") & (table["metric"] == "dice")
    part = PagePart([title, markdown_table(show_differences(table[of_main], seeds)), TESTS], {"differences.csv": table})
    for metric, name in (("dice", "DSC by organ and region"), ("asd_mm", "ASD"), ("promise12", "PROMISE12 score")):
        rows = table[(table["metric"] == metric) & ~of_main]
        if len(rows):
            part.text += [f"### {name}", markdown_table(show_differences(rows, seeds))]
    return part


def attention_part(page: PageCells) -> PagePart:
    """The masks of the systems that have any."""
    masks = difficulty_table(page.done, page.systems)
    if not len(masks):
        return PagePart([])
    return PagePart(["## What the attention sees", markdown_table(masks), MASKS], {"difficulty.csv": masks})


def commands_part(page: PageCells) -> PagePart:
    """The command of each system's first cell."""
    commands = "\n".join(cell_commands(page.done, page.systems))
    told = "The first cell of each system; `--fold` and `--seed` make the others."
    return PagePart(["## Commands", told, f"```\n{commands}\n```"])


def settings_part(page: PageCells) -> PagePart:
    """The entries of each system's configuration that are not the reference's."""
    if not page.compared:
        return PagePart([])
    text = [f"## Settings that are not those of {page.reference}"]
    for system, entries in differing_settings(page.done, page.reference).items():
        lines = _bullets([f"`{name}`: `{value}`" for name, value in entries.items()])
        told = f"{system}: {len(entries)} entries"
        text.append(f"<details><summary>{told}</summary>\n\n{lines}\n\n</details>" if entries else told)
    return PagePart(text)


def _versions(facts: pd.DataFrame) -> str:
    by_versions = facts.groupby("versions", sort=False)["system"].agg(list)
    return "Versions:\n\n" + _bullets(
        [f"{', '.join(names)}: {versions or 'not told'}" for versions, names in by_versions.items()]
    )


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
