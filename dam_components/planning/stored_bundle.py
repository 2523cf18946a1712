"""The bundle of a D behind another model: a planned bundle with stored probabilities in S's place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser

from dam_components.atomic_files import write_whole
from dam_components.data.dataset_layouts import SourceDataset
from dam_components.data.probability_cases import FoldFile
from dam_components.planning.config_text import config_text

__all__ = ["case_parts", "common_grid", "put_stored_cases", "put_stored_inference"]

NATIVE = [-1.0, -1.0, -1.0]  # MONAI's Spacing keeps an axis whose spacing is not positive
ALIKE = 1.25  # the coarsest over the finest spacing of an axis, up to which each image keeps its own grid


def case_parts(folds: Mapping[str, int | None], parts: int, draw: Sequence[str]) -> dict[str, int]:
    """The part of each case in D's cross-validation: by the fold of S where folds are known, else in turn.

    Args:
        folds: of S, by case.
        parts: at most so many.
        draw: the cases in the order in which they are dealt out.

    Raises:
        ValueError: fewer than two parts, or fewer cases than parts.

    Example:
        >>> case_parts({"a": 4, "b": 2, "c": 4}, 3, "abc"), case_parts({"a": None, "b": None}, 2, "ba")
        ({'a': 1, 'b': 0, 'c': 1}, {'b': 0, 'a': 1})
    """
    if not 2 <= parts <= len(folds):
        raise ValueError(f"parts must be from 2 to the number of cases, {len(folds)}, got {parts}")
    numbers = sorted({fold for fold in folds.values() if fold is not None})
    if len(numbers) > 1 and None not in folds.values():
        return {name: numbers.index(int(fold or 0)) % parts for name, fold in folds.items()}
    return {name: place % parts for place, name in enumerate(draw)}


def common_grid(spacing_mm: Sequence[Sequence[float]], planned: Sequence[float]) -> list[float] | None:
    """The grid on which D works: ``None``, each image's own, where their spacings are alike; else the planned one.

    D smooths P̂ by voxels and sees a few of them at a time. On images of 0.5 to 1.5 mm it learns nothing that holds.

    Args:
        spacing_mm: of each case, ``(cases, 3)``.
        planned: of the plan.

    Example:
        >>> common_grid([[1, 1, 3], [0.9, 0.9, 3]], [1, 1, 3]), common_grid([[1, 1, 3], [0.5, 0.5, 3]], [0.75, 0.75, 3])
        (None, [0.75, 0.75, 3.0])
    """
    values = np.asarray(spacing_mm, dtype=float)
    alike = (values.max(axis=0) / values.min(axis=0)).max() <= ALIKE
    return None if alike else [float(step) for step in planned]


def put_stored_cases(
    bundle: Path,
    dataset: SourceDataset,
    probabilities: Mapping[str, FoldFile],
    parts: Mapping[str, int],
    order: str | None,
) -> Path:
    """Writes ``data/stored_cases.json`` and puts the order into the overlays; gives the list's path."""
    cases: list[dict[str, Any]] = []
    for case in dataset.cases:
        files = [str(file) for file in case.images]
        entry = probabilities[case.name]
        cases.append(
            {
                "case": case.name,
                "image": files if len(files) > 1 else files[0],
                "label": str(case.label),
                "probabilities": str(entry.file.absolute()),
                "fold": entry.fold,
                "part": parts[case.name],
            }
        )
    for name in ("stored_probabilities.json", "stored_inference.json"):
        file = bundle / "configs" / name
        config = json.loads(file.read_text(encoding="utf-8"))
        config["probability_order"] = order
        write_whole(file, config_text(config))
    return write_whole(bundle / "data" / "stored_cases.json", json.dumps({"cases": cases}, indent=1) + "\n")


def put_stored_inference(bundle: Path, spacing: Sequence[float] | None) -> None:
    """Puts stored probabilities into S's place in ``inference.json`` itself, so that one file runs.

    It sets D's grid and last layer too.

    Args:
        bundle: as ``write_planned_bundle`` left it.
        spacing: of the grid on which D works; ``None``: that of each image.
    """
    for name in ("train.json", "inference.json"):
        file = bundle / "configs" / name
        config = json.loads(file.read_text(encoding="utf-8"))
        config["spacing"] = list(NATIVE if spacing is None else spacing)
        config["largest_component"], config["crop_nonzero"] = [], False  # what S calls stays as it is
        config["confidence_network_def"] = {
            "_target_": "dam_components.networks.RisingConfidence",
            "_desc_": "D, and the calibration of its map, fitted on cases that D did not learn from",
            "network": config["confidence_network_def"],
        }
        write_whole(file, config_text(config))
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / name) for name in ("inference.json", "stored_inference.json")])
    content = {key: value for key, value in parser.get().items() if key != "_meta_"}
    write_whole(bundle / "configs" / "inference.json", config_text(content))
