"""What the numbers of a report come from: folds, seeds, epochs, machines and commands, from the cells' own files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dam_study.experiments.finished_cell import FinishedCell

__all__ = ["cell_commands", "fact_table", "missing_cells", "seeds_of"]


def fact_table(
    cells: Sequence[FinishedCell], systems: Sequence[str], cases: Mapping[str, int], epochs: Mapping[str, Sequence[int]]
) -> pd.DataFrame:
    """A row a system: its cells, folds, seeds, cases, epochs, hours, machines and library versions.

    Args:
        cells: finished.
        systems: in the order of the rows.
        cases: how many, by system.
        epochs: of each of its cells that was trained by epochs.
    """
    rows = []
    for system in systems:
        own = [cell for cell in cells if cell.system == system]
        seconds = sum(float((cell.done or {}).get("seconds", 0)) for cell in own)
        libraries = [cell.config.get("versions", cell.config.get("libraries")) for cell in own]
        rows.append(
            {
                "system": system,
                "cells": len(own),
                "folds": _numbers(cell.fold for cell in own),
                "seeds": seeds_of(own)[system],
                "cases": cases[system],
                "epochs": _numbers(epochs.get(system, ())),
                "hours": f"{seconds / 3600:.2f}",
                "machine": _words(cell.config.get("machine") for cell in own),
                "versions": _words(libraries),
            }
        )
    return pd.DataFrame(rows)


def seeds_of(cells: Sequence[FinishedCell]) -> dict[str, str]:
    """The seeds of each system, as text."""
    return {name: _numbers(c.seed for c in cells if c.system == name) for name in {c.system for c in cells}}


def cell_commands(cells: Sequence[FinishedCell], systems: Sequence[str]) -> list[str]:
    """For each system the command of its first cell, as its ``config.json`` has it."""
    found = []
    for system in systems:
        command = next(cell for cell in cells if cell.system == system).config.get("command", "")
        found.append(shlex.join(map(str, command)) if isinstance(command, list) else str(command))
    return found


def missing_cells(cells: Sequence[FinishedCell], systems: Sequence[str]) -> list[str]:
    """A line a cell that does not count: begun and not finished, or not begun though another system has that cell."""
    done = {(c.system, c.fold, c.seed) for c in cells if c.done is not None}
    begun = {(c.system, c.fold, c.seed) for c in cells if c.done is None} - done
    grid = {(fold, seed) for _, fold, seed in done}
    absent = {(system, *place) for system in systems for place in grid} - done - begun
    lines = [(*key, "begun, not finished") for key in begun] + [(*key, "not begun") for key in absent]
    return [f"{system}, fold {fold}, seed {seed}: {state}" for system, fold, seed, state in sorted(lines)]


def _numbers(values: Any) -> str:
    return ", ".join(map(str, sorted(set(values))))


def _words(values: Any) -> str:
    def text(value: Any) -> str:
        if isinstance(value, Mapping):
            return ", ".join(f"{k} {v}" for k, v in value.items())
        return value if isinstance(value, str) else json.dumps(value)

    return "; ".join(sorted({text(value) for value in values if value is not None}))
