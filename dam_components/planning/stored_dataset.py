"""The labelled cases behind stored probabilities, as a dataset that can be checked and planned for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dam_components.data.dataset_layouts import CaseFiles, SourceDataset
from dam_components.data.listed_layouts import put_names
from dam_components.data.probability_cases import FoldFile, images_by_case, labels_by_case, match_cases, nnunet_folder
from dam_components.probabilities import NO_OVERLAP

__all__ = ["stored_dataset"]


def stored_dataset(
    images: str | os.PathLike,
    labels: str | os.PathLike,
    probabilities: Mapping[str, FoldFile],
    folder: str | os.PathLike,
    partial: bool = False,
) -> SourceDataset:
    """The cases that have an image, a label and probabilities, with the names that a ``dataset.json`` gives.

    It is looked for in the probabilities' folder, where nnU-Net keeps a copy, and beside the images.

    Args:
        images: their folder; nnU-Net's names of channels are understood.
        labels: their folder.
        probabilities: by case.
        folder: that they are from.
        partial: leave out cases that lack one of the three.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: cases do not match, or the labels overlap (regions of nnU-Net).
    """
    found = SourceDataset(Path(images).absolute(), "folders", Path(images).absolute().parent.name)
    index = next(iter(_indices(folder, images)), {})
    names = index.get("labels")
    if isinstance(names, Mapping):
        _check_exclusive(names)
    put_names(found, index.get("channel_names") or index.get("modality"), names)
    files = images_by_case(images, len(found.channel_names or [0]))
    marked = labels_by_case(labels)
    for name in match_cases(files, marked, probabilities, partial):
        several = files[name] if isinstance(files[name], list) else [files[name]]
        paths = tuple(Path(file).absolute() for file in several)
        found.cases.append(CaseFiles(name, paths, marked[name].absolute()))
    return found


def _indices(folder: str | os.PathLike, images: str | os.PathLike) -> list[dict[str, Any]]:
    places = [nnunet_folder(folder), Path(images).absolute().parent]
    files = [place / "dataset.json" for place in places]
    found = []
    for file in files:
        if file.is_file():
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{file} is no JSON ({error}): correct it") from None
            found += [content] if isinstance(content, dict) else []
    return found


def _check_exclusive(names: Mapping[str, Any]) -> None:
    """Refuses labels that overlap, and voxels of no class."""
    if any(isinstance(value, (list, tuple)) for value in names.values()):
        regions = ", ".join(name for name, value in names.items() if isinstance(value, (list, tuple)))
        raise ValueError(
            f"the labels {regions} are regions, which nnU-Net tells apart by sigmoids: {NO_OVERLAP}; train without "
            "regions"
        )
    if "ignore" in names:
        raise ValueError("the dataset has a label 'ignore', of which D cannot know whether S is right: relabel it")
