"""The kinds of fault that are checked: a table whose rows are the tests, and the page of the documentation.

``python -m tests.checks.table`` prints docs/what_is_checked.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PLACES = ("losses", "image_files", "dicom", "labels", "layouts", "weights", "tables")


@dataclass(frozen=True)
class Fault:
    """A row: where, what is wrong, what happens (of a refusal the words of its error), and the test."""

    place: str
    kind: str
    happens: str
    refused: bool
    run: Callable[[Path], object]


FAULTS: list[Fault] = []


def refused(place: str, kind: str, words: str) -> Callable:
    """A fault that ends in one line with these words."""
    return _row(place, kind, words, True)


def taken(place: str, kind: str, happens: str) -> Callable:
    """Something unusual that is read rightly, or told; the test asserts it."""
    return _row(place, kind, happens, False)


def _row(place: str, kind: str, happens: str, is_refused: bool) -> Callable:
    def add(run: Callable[[Path], object]) -> Callable:
        FAULTS.append(Fault(place, kind, happens, is_refused, run))
        return run

    return add


def all_faults() -> list[Fault]:
    """The rows of all places, in their order."""
    titles = [importlib.import_module(f"tests.checks.{place}").PLACE for place in PLACES]
    return sorted(FAULTS, key=lambda fault: titles.index(fault.place))


def page() -> str:
    """The table as Markdown."""
    rows = all_faults()
    lines = [
        "# What is checked",
        "",
        f"{len(rows)} kinds of fault. Each row is a test (`tests/checks`). *Refused*: one line that names the file",
        "and the remedy, before any result is written; the words in quotes are part of that line.",
    ]
    place = ""
    for row in rows:
        if row.place != place:
            place = row.place
            lines += ["", f"## {place}", "", "| kind | what happens |", "|---|---|"]
        happens = f'refused: "{row.happens}"' if row.refused else row.happens
        lines.append(f"| {row.kind} | {happens} |".replace("\n", " "))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(importlib.import_module("tests.checks.table").page(), end="")  # not this copy of it, whose table is empty
