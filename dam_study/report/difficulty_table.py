"""Is there anything to attend to? How a difficulty mask varies, and whether it is high where S is unsure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dam_study.experiments.cell_arrays import read_arrays
from dam_study.experiments.finished_cell import FinishedCell

__all__ = ["difficulty_table", "mask_statistics"]

COLUMNS = {
    "mean": "mean of 1 - M",
    "std": "standard deviation of 1 - M",
    "correlation": "correlation with 1 - P̂",
}


def mask_statistics(arrays: Mapping[str, np.ndarray]) -> dict[str, float] | None:
    """Of the last kept epoch: mean and standard deviation over the slice of the difficulty mask 1 - M, and its Pearson
    correlation with the focal mask 1 - P̂ (P̂ of the true class), which is nan where one of them is constant.

    Args:
        arrays: ``epoch<k>/difficulty`` and ``epoch<k>/focal``, ``(X, Y)``.

    Returns:
        The three by name, or ``None`` if there is no epoch with both masks.

    Example:
        >>> focal = np.array([[0.0, 1.0]])
        >>> mask_statistics({"epoch1/difficulty": 0.2 + 0.1 * focal, "epoch1/focal": focal})["correlation"]
        1.0
    """
    epochs = [int(m[1]) for name in arrays if (m := re.fullmatch(r"epoch(\d+)/difficulty", name))]
    epochs = [epoch for epoch in epochs if f"epoch{epoch}/focal" in arrays]
    if not epochs:
        return None
    mask, focal = (np.asarray(arrays[f"epoch{max(epochs)}/{kind}"], float).ravel() for kind in ("difficulty", "focal"))
    flat = mask.std() < 1e-9 or focal.std() < 1e-9
    correlation = float("nan") if flat else round(float(np.corrcoef(mask, focal)[0, 1]), 12)
    return {"mean": float(mask.mean()), "std": float(mask.std()), "correlation": correlation}


def difficulty_table(cells: Sequence[FinishedCell], systems: Sequence[str]) -> pd.DataFrame:
    """A row a system that kept difficulty masks: :func:`mask_statistics` as mean (least to greatest) over its cells."""
    rows = []
    for system in systems:
        own = [cell for cell in cells if cell.system == system]
        found = [s for cell in own if (s := mask_statistics(read_arrays(cell.folder / "difficulty.npz"))) is not None]
        if found:
            table = pd.DataFrame(found)
            told = {title: _spread(table[name]) for name, title in COLUMNS.items()}
            rows.append({"system": system, "cells": len(found), **told})
    return pd.DataFrame(rows, columns=["system", "cells", *COLUMNS.values()])


def _spread(values: pd.Series) -> str:
    kept = values.dropna()
    return f"{kept.mean():.2f} ({kept.min():.2f} to {kept.max():.2f})" if len(kept) else ""
