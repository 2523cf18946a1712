"""The ``report`` command: tables and figures of the experiments, from the files of their finished cells alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dam_components.confidence.trained_bundle import comma_words
from dam_components.metrics.case_bootstrap import check_resamples
from dam_study.experiments.cell_settings import pick_cells
from dam_study.experiments.finished_cell import FinishedCell, find_cells
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
    _check_options(resamples, no_pictures, pictures_of_images)
    cells = _pick(find_cells(runs), runs, None if task is None else comma_words(task), where, comma_words(hash))
    systems, names = sorted({cell.system for cell in cells}), comma_words(order)
    if unknown := [name for name in [reference, *names] if name not in systems]:
        raise ValueError(f"no cells of {', '.join(unknown)} for --reference or --order: there is {', '.join(systems)}")

    options = {"where": where, "hash": hash, "resamples": resamples if resamples != 2000 else ""}
    folder = Path(runs).absolute().parent / "results" if output is None else Path(output)
    sets = comma_words(task) if task is not None else sorted({cell.data for cell in cells})
    for name in tqdm(sets, desc="report", unit="data set"):
        own = [cell for cell in cells if cell.data == name]
        if not any(cell.done for cell in own):
            print(f"{name}: no finished cell")
            continue
        images = PRIVATE not in name.lower() if pictures_of_images is None else pictures_of_images
        page = write_page(folder / name, own, reference, names, not no_pictures, images, resamples, options)
        print(f"wrote {page}")


def _check_options(resamples: int, no_pictures: Any, pictures_of_images: Any) -> None:
    check_resamples(resamples)
    for name, value in (("no_pictures", no_pictures), ("pictures_of_images", pictures_of_images)):
        if value not in (True, False, None):
            raise ValueError(f"{name} must be True or False, got {value!r}")


def _pick(
    cells: Sequence[FinishedCell], runs: str, sets: Sequence[str] | None, where: str, hashes: Sequence[str]
) -> list[FinishedCell]:
    """The cells that the options ask for.

    Raises:
        ValueError: if there are none of a data set, none is left, or none of those left is finished.
    """
    known = sorted({cell.data for cell in cells})
    asked = known if sets is None else sets
    if unknown := [name for name in asked if name not in known]:
        raise ValueError(f"no cells of data {', '.join(unknown)} in {runs}: there is {', '.join(known)}")
    picked = [cell for cell in cells if cell.data in asked]
    if where or hashes:
        picked = pick_cells(picked, _named_values(where), hashes)
    if not any(cell.done for cell in picked):
        raise ValueError(
            f"none of the {len(picked)} cells in {runs} is finished (done.json): run experiment to its end"
        )
    return picked


def _named_values(where: str) -> dict[str, str]:
    # a value may be a list: a comma parts only where another name follows
    pairs = [word.partition("=") for word in re.split(r",(?=\s*[\w#]+=)", where) if word]
    if any(not sign for _, sign, _ in pairs):
        raise ValueError(f"where must be name=value, several separated by commas, got {where!r}")
    return {name.strip(): value.strip() for name, _, value in pairs}
