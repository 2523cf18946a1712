"""The finished cells of an experiment on disk: which there are, and the metrics that each holds."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["METRICS", "FinishedCell", "find_cells", "read_metrics"]

METRICS = ("dice", "asd_mm", "hd95_mm", "rvd_percent")
NAME = re.compile(r"fold(\d+)-seed(\d+)-(\w+)")


@dataclass(frozen=True)
class FinishedCell:
    """One system trained on one fold with one seed: ``RUNS/<data>/<system>/fold<f>-seed<s>-<hash>/``.

    Attributes:
        folder: of the cell.
        data, system, fold, seed, hash: what the folder's name says.
        config: ``config.json``, empty where it is missing.
        done: ``done.json``, ``None`` while the cell is not finished.
    """

    folder: Path
    data: str
    system: str
    fold: int
    seed: int
    hash: str
    config: dict[str, Any] = field(default_factory=dict)
    done: dict[str, Any] | None = None

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What cells of one data set are told apart and ordered by."""
        return self.system, self.seed, self.fold, self.hash


def find_cells(runs: str | os.PathLike) -> list[FinishedCell]:
    """All cells below the folder, sorted by data, system, seed and fold, whatever order the disk lists them in.

    Raises:
        FileNotFoundError: if there is no such folder, or no cell in it.
        ValueError: if a file of a cell is no JSON, or says another cell than its folder's name does.
    """
    root = Path(runs)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}: name the folder of the experiment's runs with --runs")
    cells = [
        _cell(folder, match)
        for folder in root.glob("*/*/fold*-seed*")
        if folder.is_dir() and (match := NAME.fullmatch(folder.name))
    ]
    if not cells:
        raise FileNotFoundError(
            f"no cell in {root}: python -m dam_study experiment writes <task>/<system>/fold<f>-seed<s>-<hash>/ there"
        )
    return sorted(cells, key=lambda cell: (cell.data, *cell.key))


def read_metrics(cell: FinishedCell) -> pd.DataFrame:
    """The rows of a finished cell's ``metrics.csv``, a case, label and region each, in the order of the file.

    Raises:
        ValueError: if the file is missing, cut off or no such table; it names the file and what to do.
    """
    path = cell.folder / "metrics.csv"
    remedy = f"remove the folder {cell.folder} and run its cell again"
    try:
        text = path.read_text(encoding="utf-8")
        header, *lines = csv.reader(text.splitlines())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing although the cell is finished: {remedy}") from None
    except ValueError:  # empty, or no text
        raise ValueError(f"{path} is empty or no CSV: {remedy}") from None
    missing = [name for name in ("case", "label", "region", *METRICS) if name not in header]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}: {remedy}")
    short = [number for number, line in enumerate(lines, 2) if len(line) != len(header)]
    if short or not lines or not text.endswith("\n"):
        where = (
            f"line {short[0]} has {len(lines[short[0] - 2])} of {len(header)} values" if short else "the end is missing"
        )
        raise ValueError(f"{path} is only half written, {where}: {remedy}")
    if (cell.done or {}).get("rows", len(lines)) != len(lines):
        raise ValueError(f"{path} has {len(lines)} rows, done.json says {(cell.done or {})['rows']}: {remedy}")
    rows = pd.DataFrame(lines, columns=header)
    try:
        rows = rows.astype(dict.fromkeys(METRICS, float))
    except ValueError as error:
        raise ValueError(f"{path} holds something other than numbers ({error}): {remedy}") from None
    if not rows["dice"].between(0, 1).all():  # nan fails it too
        raise ValueError(f"{path} holds a dice outside 0 to 1: {remedy}")
    parts = rows.groupby(["label", "region"], sort=False)["case"]
    if rows.duplicated(["case", "label", "region"]).any() or parts.nunique().nunique() != 1:
        raise ValueError(f"{path} must hold each case, label and region once, got others: {remedy}")
    return rows[["case", "label", "region", *METRICS]]


def _cell(folder: Path, match: re.Match[str]) -> FinishedCell:
    data, system = folder.parts[-3:-1]
    config, done = (_json(folder / name) for name in ("config.json", "done.json"))
    if done is not None and config is None:
        raise ValueError(f"{folder} is finished but has no config.json: remove the folder and run its cell again")
    cell = FinishedCell(folder, data, system, int(match[1]), int(match[2]), match[3], config or {}, done)
    for name in ("system", "fold", "seed"):
        if cell.config.get(name, getattr(cell, name)) != getattr(cell, name):
            raise ValueError(
                f"{folder / 'config.json'} says {name} {cell.config[name]}, its folder {getattr(cell, name)}: "
                "do not rename or move cells; remove the folder and run the cell again"
            )
    if not str(cell.config.get("hash", cell.hash)).startswith(cell.hash):
        raise ValueError(
            f"{folder / 'config.json'} has hash {cell.config['hash']}, its folder {cell.hash}: "
            "remove the folder and run the cell again"
        )
    return cell


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no JSON object: remove the folder {path.parent} and run its cell again")
    return content
