"""All pictures of one data set's report, small enough to lie in a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dam_components.figures.pictures import save_figure
from dam_study.experiments.case_values import MEAN
from dam_study.experiments.cell_arrays import common_slices, read_arrays
from dam_study.experiments.finished_cell import FinishedCell
from dam_study.report.contour_grid import draw_contour_grid
from dam_study.report.difficulty_grid import draw_difficulty_grid
from dam_study.report.system_bars import draw_bars
from dam_study.report.system_curves import draw_system_curves, read_curves

__all__ = ["image_pictures", "number_pictures", "save_small"]

LARGEST = 300_000  # bytes
Picture = tuple[str, str]  # file name and what it shows


def number_pictures(
    folder: Path, cells: Sequence[FinishedCell], summary: pd.DataFrame, systems: Sequence[str], labels: Sequence[str]
) -> list[Picture]:
    """Writes figure3.png and curves.png, which show no image; returns what was written."""
    save_small(draw_bars(summary, systems, labels), folder / "figure3.png")
    written = [("figure3.png", "Figure 3. Mean DSC over cases with 95 % intervals.")]
    curves = {s: [rows for c in cells if c.system == s and (rows := read_curves(c)) is not None] for s in systems}
    curves = {system: frames for system, frames in curves.items() if frames}
    if curves:
        save_small(draw_system_curves(curves), folder / "curves.png")
        written.append(("curves.png", "Learning curves: thick is a system's mean over its cells, thin are the cells."))
    return written


def image_pictures(
    folder: Path, cells: Sequence[FinishedCell], values: pd.DataFrame, systems: Sequence[str], labels: Sequence[str]
) -> list[Picture]:
    """Writes figure2.png, figure5.png and a figure4 of each system with a D to look at; returns what was written."""
    written = []
    names = {int(k): str(v) for k, v in (cells[0].config.get("entries") or {}).get("label_names", {}).items()}
    drawn = [s for s in systems if any((c.folder / "slices.npz").is_file() for c in cells if c.system == s)]
    cases = common_slices(cells, drawn) if drawn else {}
    if cases:
        main = MEAN if len(labels) > 1 else labels[0]
        of = values[(values["label"] == main) & (values["region"] == "whole") & (values["metric"] == "dice")]
        dice = of.groupby("case")["value"].mean()
        order = sorted(cases, key=lambda case: (dice.get(case, np.nan), case))
        typical = order[len(order) // 2]
        rows = [(f"{typical}, {place}", pairs) for place, pairs in cases[typical].items()]
        save_small(draw_contour_grid(rows, drawn, names), folder / "figure2.png")
        told = f"of the {len(order)} kept cases the one with the median DSC over systems"
        written.append(("figure2.png", f"Figure 2. {typical}: {told}."))
        rows = [(f"{case}, {place}", cases[case][place]) for case in order for place in [_largest(cases[case])]]
        save_small(draw_contour_grid(rows, drawn, names), folder / "figure5.png")
        written.append(
            ("figure5.png", "Figure 5. The kept cases by rising DSC, each in its kept slice with most label.")
        )
    for system in systems:
        for cell in (c for c in cells if c.system == system):
            title = f"{system}, fold {cell.fold}, seed {cell.seed}"
            figure = draw_difficulty_grid(read_arrays(cell.folder / "difficulty.npz"), title)
            if figure is not None:
                name = f"figure4_{system}.png"
                save_small(figure, folder / name)
                written.append((name, f"Figure 4. Difficulty mask 1 - M and focal mask 1 - P̂, {title}."))
                break
    return written


def save_small(figure: Figure, path: Path) -> None:
    """Writes a PNG of less than 300 kB, the figure made smaller as far as that takes."""
    save_figure(figure, path)
    while path.stat().st_size >= LARGEST and figure.get_size_inches().min() > 1:
        figure.set_size_inches(*(0.85 * figure.get_size_inches()))
        save_figure(figure, path)


def _largest(places: dict) -> str:
    """The slice with most label."""
    return max(sorted(places), key=lambda place: int((next(iter(places[place].values()))["label"] > 0).sum()))
