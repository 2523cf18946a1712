"""The ``report`` command: tables and figures of the experiments, from the files of their finished cells alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from dam_components.confidence.trained_bundle import comma_words
from dam_study.experiments.cell_settings import pick_cells
from dam_study.experiments.finished_cell import find_cells
from dam_study.report.experiment_page import write_page

__all__ = ["report"]

PRIVATE = "promise12"  # its images may not be passed on


def report(
    runs: str,
    output: str | None = None,
    task: str | Sequence[str] | None = None,
    reference: str = "enunet_hybrid",
    order: str | Sequence[str] = (),
    where: str = "",
    hash: str = "",
    no_pictures: bool = False,
    pictures_of_images: bool | None = None,
    resamples: int = 2000,
) -> None:
    """Builds tables with intervals and tests, figures and a page of every data set, from finished cells of experiment.

    Writes OUTPUT/<task>/report.md and what it shows. The same cells give the same bytes.

    Args:
        runs: folder of the cells, as the command experiment writes them: RUNS in the pages.
        output: where the results go; by default the folder results beside RUNS.
        task: only the cells of these tasks, separated by commas; by default all that are there.
        reference: the system that the others are compared with.
        order: of the systems in tables, separated by commas; those not named follow.
        where: only cells with these settings, name=value, separated by commas: epochs=16.
        hash: only cells whose hash begins so, separated by commas.
        no_pictures: tables only.
        pictures_of_images: pictures that show images; by default of all data sets but PROMISE12, whose images must not
            be passed on.
        resamples: of the bootstrap over cases.

    Raises:
        ValueError: for an option out of range, a damaged file, or cells that must not be mixed.
        FileNotFoundError: without cells.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    for name, value in (("no_pictures", no_pictures), ("pictures_of_images", pictures_of_images)):
        if value not in (True, False, None):
            raise ValueError(f"{name} must be True or False, got {value!r}")
    # a value may be a list: a comma parts only where another name follows
    pairs = [word.partition("=") for word in re.split(r",(?=\s*[\w#]+=)", where) if word]
    if any(not sign for _, sign, _ in pairs):
        raise ValueError(f"where must be name=value, several separated by commas, got {where!r}")
    wanted, names = {name.strip(): value.strip() for name, _, value in pairs}, comma_words(order)

    cells = find_cells(runs)
    sets = sorted({cell.data for cell in cells})
    asked = sets if task is None else comma_words(task)
    if unknown := [name for name in asked if name not in sets]:
        raise ValueError(f"no cells of data {', '.join(unknown)} in {runs}: there is {', '.join(sets)}")
    cells = [cell for cell in cells if cell.data in asked]
    if wanted or hash:
        cells = pick_cells(cells, wanted, comma_words(hash))
    if not any(cell.done for cell in cells):
        raise ValueError(f"none of the {len(cells)} cells in {runs} is finished (done.json): run experiment to its end")
    systems = sorted({cell.system for cell in cells})
    if unknown := [name for name in [reference, *names] if name not in systems]:
        raise ValueError(f"no cells of {', '.join(unknown)} for --reference or --order: there is {', '.join(systems)}")

    options = {"where": where, "hash": hash, "resamples": resamples if resamples != 2000 else ""}
    folder = Path(runs).absolute().parent / "results" if output is None else Path(output)
    for name in tqdm(asked, desc="report", unit="data set"):
        own = [cell for cell in cells if cell.data == name]
        if not any(cell.done for cell in own):
            print(f"{name}: no finished cell")
            continue
        images = PRIVATE not in name.lower() if pictures_of_images is None else pictures_of_images
        page = write_page(folder / name, own, reference, names, not no_pictures, images, resamples, options)
        print(f"wrote {page}")
