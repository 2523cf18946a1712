"""The settings of cells: what must be equal before their numbers may stand in one table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from dam_study.experiments.finished_cell import FinishedCell

__all__ = ["check_same_settings", "differing_settings", "pick_cells", "settings"]

# Say where files lie or which cell it is, not how it was trained.
NO_SETTING = (
    "bundle_root",
    "ckpt_dir",
    "confidence_weights",
    "dataset_dir",
    "fingerprint",
    "fold",
    "folds#fold",
    "model_dir",
    "output_dir",
    "seed",
    "weights",
)
COMMENTS = ("_desc_", "_meta_", "_on_")  # the last in cells of 0.1.0
SHARED = ("protocol", "epochs", "folds")  # of all systems of a table, where they have such an entry


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a cell's ``config.json`` and its protocol, nested ones by ``#``, without places, fold and seed.

    Example:
        >>> settings({"protocol": "kfold", "seed": 1, "entries": {"epochs": 2, "folds": {"fold": 1, "folds": 5}}})
        {'protocol': 'kfold', 'epochs': 2, 'folds#folds': 5}
    """
    found = _flat(config.get("entries") or {}, "")
    if "protocol" in config:
        found = _flat({"protocol": config["protocol"]}, "") | found
    return {n: v for n, v in found.items() if n not in NO_SETTING and n.split("#")[-1] not in COMMENTS}


def pick_cells(cells: Sequence[FinishedCell], where: Mapping[str, str], hashes: Sequence[str]) -> list[FinishedCell]:
    """The cells whose settings have the values asked for, and one of the hashes, if any is named.

    Args:
        cells: all.
        where: text of a value by name, ``{"epochs": "16"}``; ``null`` stands for an entry that is not there.
        hashes: beginnings of the hashes of cells.

    Raises:
        ValueError: if no cell has such an entry, or none is left.
    """
    own = {cell.folder: settings(cell.config) for cell in cells}
    for name in where:
        if not any(name in entries for entries in own.values()):
            raise ValueError(f"where names {name}, which is no setting of any cell: see entries in a config.json")

    def fits(cell: FinishedCell) -> bool:
        values = {name: own[cell.folder].get(name) for name in where}
        named = not hashes or any(cell.hash.startswith(start) for start in hashes)
        return named and all(where[name] in (value, json.dumps(value)) for name, value in values.items())

    picked = [cell for cell in cells if fits(cell)]
    if not picked:
        asked = [f"{name}={value}" for name, value in where.items()] + list(hashes)
        raise ValueError(f"none of the {len(cells)} cells is {', '.join(asked)}: ask for less with --where or --hash")
    return picked


def check_same_settings(cells: Sequence[FinishedCell]) -> None:
    """Refuses cells of one data set that were not made alike.

    Cells of one system must agree in every setting; cells of different systems in protocol, folds and epochs, since the
    rest is what makes them different systems.

    Raises:
        ValueError: names an entry that differs, and how to pick one group.
    """
    first: dict[str, tuple[FinishedCell, dict[str, Any]]] = {}
    shared: dict[str, tuple[FinishedCell, Any]] = {}
    for cell in cells:
        theirs = settings(cell.config)
        like, mine = first.setdefault(cell.system, (cell, theirs))
        differing = [n for n in sorted(mine.keys() | theirs.keys()) if mine.get(n) != theirs.get(n)]
        if not differing:
            # 0 epochs: a system that is not trained by epochs
            common = {n: v for n, v in theirs.items() if n.split("#")[0] in SHARED and (n, v) != ("epochs", 0)}
            differing = [n for n, value in common.items() if shared.setdefault(n, (cell, value))[1] != value]
            if differing:
                like = shared[differing[0]][0]
                mine = settings(like.config)
        if differing:
            name, more = differing[0], len(differing) - 1
            ours, other = (json.dumps(values.get(name)) for values in (mine, theirs))
            raise ValueError(
                f"{like.folder} and {cell.folder} must not be mixed: {name} is {ours} in one, {other} in the other"
                f"{f' (and {more} more entries differ)' if more else ''}; pick one group, with --where "
                f"{shlex.quote(f'{name}={_word(mine.get(name))}')} or with --hash and the hashes of its cells"
            )


def differing_settings(cells: Sequence[FinishedCell], reference: str) -> dict[str, dict[str, str]]:
    """By system, the entries that are not the reference's, as text; ``null`` for one that is not there."""
    by_system: dict[str, dict[str, Any]] = {}
    for cell in cells:
        by_system.setdefault(cell.system, settings(cell.config))
    base = by_system[reference]
    return {
        system: {
            name: json.dumps(own.get(name), sort_keys=True)
            for name in sorted(own.keys() | base.keys())
            if own.get(name) != base.get(name)
        }
        for system, own in by_system.items()
        if system != reference
    }


def _flat(entries: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in entries.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}#")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
