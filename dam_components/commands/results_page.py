"""The page of a finished training: table, curves and pictures in one HTML file."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dam_components.atomic_files import write_whole
from dam_components.figures import draw_training
from dam_components.metrics.case_table import read_cases_csv, whole_structures
from dam_components.planning.model_folder import add_results

__all__ = ["write_results"]

PICTURES = 12
STYLE = (
    "body{font:16px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ccc}img{max-width:100%}.note{color:#a00}"
)


def write_results(model: Path, work: Path, failed: Mapping[str, str]) -> Path:
    """Writes ``index.html`` into a model's folder, and the table of the test cases into its README.

    Args:
        model: the folder.
        work: of the training.
        failed: optional stages that failed, and why.

    Returns:
        The page.
    """
    metrics = work / "evaluation" / "metrics.csv"
    if metrics.is_file():
        add_results(model, metrics)
    parts = [*(f'<p class="note">{html.escape(text)}</p>' for text in failed.values())]
    if metrics.is_file():
        parts += test_tables(read_cases_csv(metrics), work / "test_cases" / "summary.csv")
    else:
        parts.append('<p class="note">No case was kept for a test: nothing here says how good the model is.</p>')
    parts += training_curves(work / "S")
    parts += case_pictures(work / "test_cases")
    title = json.loads((model / "configs" / "metadata.json").read_text(encoding="utf-8")).get("name", model.name)
    page = f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
    page += (
        f"<h1>{html.escape(title)}</h1>" + "\n".join(parts) + "<p>Research use only; not for clinical decisions.</p>\n"
    )
    return write_whole(model / "index.html", page)


def test_tables(rows: pd.DataFrame, summary: Path) -> Iterator[str]:
    """Means over the test cases by class, and each case's Dice beside the predicted one."""
    whole = whole_structures(rows)
    numbers = [name for name in whole.columns if pd.api.types.is_numeric_dtype(whole[name])]
    count = whole["case"].nunique()
    yield f"<h2>{count} test cases</h2><p>Means; no S that segmented a case has learned from it.</p>"
    yield whole.groupby("label", sort=False)[numbers].mean().round(3).to_html(border=0)
    cases = whole.groupby("case")["dice"].mean().rename("Dice").to_frame()
    if summary.is_file():
        judged = read_cases_csv(summary).set_index("case")
        columns = {"predicted_mean_dice": "predicted Dice", "calibrated": "calibrated", "review": "to review"}
        cases = cases.join(judged[[*columns]].rename(columns=columns))
    yield "<h2>Each case</h2>" + cases.sort_values("Dice").round(3).to_html(border=0)


def training_curves(folder: Path) -> Iterator[str]:
    """Losses and validation of each training in the folder."""
    runs: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("events.out.tfevents*")):
        runs.setdefault(file.parent.name, []).append(file)
    if (figure := draw_training(runs)) is not None:
        yield "<h2>Training</h2>" + picture(figure)


def picture(figure: Figure) -> str:
    """A figure within the page."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110, format="png")
    return image_tag(stream.getvalue())


def image_tag(content: bytes) -> str:
    """A PNG within the page."""
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def case_pictures(folder: Path) -> Iterator[str]:
    """The review picture of each test case, the ones to look at first in front."""
    summary = folder / "summary.csv"
    if not summary.is_file():
        return
    yield "<h2>Test cases, the least trusted slices</h2>"
    for case in read_cases_csv(summary)["case"].head(PICTURES):
        for file in sorted((folder / str(case)).glob("*.png")):
            yield f"<p>{html.escape(str(case))}</p>{image_tag(file.read_bytes())}"
