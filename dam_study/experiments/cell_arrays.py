"""Pictures' arrays of a cell: kept slices, and frames of difficulty as training went on."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dam_study.experiments.finished_cell import FinishedCell

__all__ = ["SlicePair", "common_slices", "read_arrays"]

SlicePair = Mapping[str, np.ndarray]
NEEDED = ("image", "label", "prediction")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz``; none if there is no such file.

    Raises:
        ValueError: if it is cut off or no such file; it names it and what to do.
    """
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise ValueError(
            f"{path} is no .npz of arrays: remove the folder {path.parent} and run its cell again, "
            "or leave pictures out with --no_pictures"
        ) from None


def common_slices(cells: Sequence[FinishedCell], systems: Sequence[str]) -> dict[str, dict[str, dict[str, SlicePair]]]:
    """By case and slice what each system drew there, of cases and slices that all systems have kept.

    Where several cells of a system kept a slice, the one with the lowest seed and fold is taken.

    Args:
        cells: of one data set, finished.
        systems: those that must have the slice.
    """
    kept: dict[str, dict[tuple[str, str], SlicePair]] = {}
    for cell in sorted(cells, key=lambda c: c.key):
        own: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        for name, array in read_arrays(cell.folder / "slices.npz").items():
            case, place, key = name.rsplit("/", 2)
            own.setdefault((case, place), {})[key] = array
        slices = kept.setdefault(cell.system, {})
        for where, pair in own.items():
            if set(NEEDED) <= set(pair):
                slices.setdefault(where, pair)
    shared = [where for where in kept.get(systems[0], {}) if all(where in kept.get(s, {}) for s in systems)]
    found: dict[str, dict[str, dict[str, SlicePair]]] = {}
    for case, place in shared:
        found.setdefault(case, {})[place] = {s: kept[s][case, place] for s in systems}
    return dict(sorted(found.items()))
