"""The report of one data set: tables as CSV and Markdown, pictures, and one page that holds all of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dam_components.atomic_files import write_whole
from dam_study.experiments.finished_cell import FinishedCell
from dam_study.report.page_cells import PageCells
from dam_study.report.page_parts import (
    PagePart,
    attention_part,
    cells_part,
    commands_part,
    differences_part,
    settings_part,
    tables_part,
)
from dam_study.report.system_pictures import image_pictures, number_pictures

__all__ = ["write_page"]


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
    page = PageCells.of(cells, reference, order, resamples)
    parts = [cells_part(page), tables_part(page), differences_part(page)]
    parts += [attention_part(page)] if pictures else []
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (item for part in parts for item in part.tables.items()):
        write_whole(folder / name, table.to_csv(index=False, lineterminator="\n"))
    parts += [_figures(folder, page, pictures_of_images)] if pictures else []
    parts += [commands_part(page), settings_part(page)]

    command = _command(page.data, reference, order, options)
    text = [f"# {page.data}", f"Made from the cells' files alone by\n\n```\n{command}\n```"]
    text += [paragraph for part in parts for paragraph in part.text]
    write_whole(folder / "report.md", "\n\n".join(text) + "\n")
    return folder / "report.md"


def _figures(folder: Path, page: PageCells, of_images: bool) -> PagePart:
    """Draws the pictures into the folder, and shows them."""
    drawn = number_pictures(folder, page.done, page.summary, page.systems, page.labels)
    if of_images:
        drawn += image_pictures(folder, page.done, page.values, page.systems, page.labels)
    text = ["## Figures", *(f"![{told}]({name})\n\n{told}" for name, told in drawn)] if drawn else []
    if not of_images:
        text.append("Pictures that show images (Figures 2, 4 and 5) are left out.")
    return PagePart(text)


def _command(data: str, reference: str, order: Sequence[str], options: Mapping[str, Any] | None) -> str:
    asked = {"task": data, "reference": reference, "order": ",".join(order), **(options or {})}
    words = [word for name, value in asked.items() if value for word in (f"--{name}", str(value))]
    return f"python -m dam_study report RUNS {shlex.join(words)}"
