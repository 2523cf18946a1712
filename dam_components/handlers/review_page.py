"""A page with all cases' review pictures, for a browser without a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = ["review_page"]

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<title>Cases for review</title>
<style>
body { font: 1rem/1.4 sans-serif; margin: 1rem auto; max-width: 60rem; padding: 0 1rem; color: #111; background: #fff }
article { border-top: 1px solid #767676; padding: .5rem 0 }
.flagged h2::before { content: "look: "; color: #a30000 }
table { border-collapse: collapse } td, th { padding: .1rem .8rem .1rem 0; text-align: left }
img { max-width: 100%; height: auto }
</style>
</head>
<body>
"""


def review_page(folder: str | Path, reports: Iterable[Mapping[str, Any]]) -> str:
    """HTML that shows the cases in the given order: picture, structures, reasons to look.

    It needs no script and no server, loads a picture when it scrolls into view, and takes nothing from elsewhere.

    Args:
        folder: of the results, where the page will lie. Cases without ``<case>/<case>_review.png`` have no picture.
        reports: as :func:`~dam_components.data.case_reports.read_reports` gives them.

    Example:
        >>> "<h1>0 cases, 0 to look at</h1>" in review_page("results", [])
        True
    """
    cases = list(reports)
    flagged = sum(case["review"] for case in cases)
    title = f"<h1>{len(cases)} cases, {flagged} to look at</h1>\n"
    return HEAD + title + "".join(_article(Path(folder), case) for case in cases) + "</body>\n</html>\n"


def _article(folder: Path, case: Mapping[str, Any]) -> str:
    name = case["case"]
    raw = "" if case["calibrated"] else ", not calibrated"
    mean = case["predicted_mean_dice"]
    dice = "no structure found" if mean is None else f"predicted mean Dice {mean:.2f}{raw}"
    parts = [f"<h2>{escape(name)}, {dice}</h2>"]
    if case["reasons"]:
        parts.append("<ul>" + "".join(f"<li>{escape(str(reason))}</li>" for reason in case["reasons"]) + "</ul>")
    rows = "".join(_row(structure, values) for structure, values in case["classes"].items())
    parts.append(
        "<table><tr><th scope=col>structure<th scope=col>volume in ml<th scope=col>predicted Dice"
        f"<th scope=col>interval</tr>{rows}</table>"
    )
    picture = f"{name}/{name}_review.png"
    if (folder / picture).is_file():
        alt = f"Slices of {name} with the least trusted places: segmentation and doubt"
        parts.append(f'<img loading="lazy" src="{escape(quote(picture))}" alt="{escape(alt)}">')
    kind = ' class="flagged"' if case["review"] else ""
    return f"<article{kind}>\n" + "\n".join(parts) + "\n</article>\n"


def _row(structure: str, values: Mapping[str, Any]) -> str:
    def number(key: str) -> str:
        value = values.get(key)
        return f"{value:.2f}" if isinstance(value, (int, float)) else ""

    low, high = number("predicted_dice_low"), number("predicted_dice_high")
    interval = f"{low} to {high}" if low and high else ""
    cells = (escape(structure), number("volume_ml"), number("predicted_dice"), interval)
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>"
