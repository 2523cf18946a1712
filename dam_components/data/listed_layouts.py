"""Datasets with a ``dataset.json``: the Decathlon's list of cases, or nnU-Net's names of files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dam_components.data.dataset_layouts import (
    CASE_KEY,
    PATIENT_KEY,
    CaseFiles,
    SourceDataset,
    add_case,
    case_stem,
    list_images,
    name_structures,
    nnunet_channel,
)
from dam_components.data.finding import Finding

__all__ = ["listed_dataset", "put_names"]


def listed_dataset(root: Path, index: Any) -> SourceDataset:
    """The cases that a ``dataset.json`` names.

    An entry of the Decathlon's ``training`` may have a ``case``, a ``patient``, several images, each a channel, and in
    place of one label a file for each structure by its name. So it can list the cases of any layout.

    Args:
        root: the dataset's folder, from which paths count.
        index: what is in the file.

    Raises:
        ValueError: it is of neither kind.
    """
    if isinstance(index, dict) and isinstance(index.get("training"), list):
        return _decathlon(root, index)
    if isinstance(index, dict) and isinstance(index.get("channel_names"), dict):
        return _nnunet(root, index)
    raise ValueError(
        f"{root / 'dataset.json'} has neither the Decathlon's list 'training' nor nnU-Net's 'channel_names': add one "
        "of them, or name --images and --labels"
    )


def _decathlon(root: Path, index: Mapping[str, Any]) -> SourceDataset:
    dataset = SourceDataset(root, "decathlon", str(index.get("name", root.name)), licence=str(index.get("licence", "")))
    put_names(dataset, index.get("modality"), index.get("labels"))
    listed = set()
    for number, entry in enumerate(index["training"]):
        entry = entry if isinstance(entry, dict) else {"image": entry}
        if "image" not in entry:
            dataset.error(f"dataset.json, entry {number} of training", "names no image", "add it, or take it out")
            continue
        several = isinstance(entry["image"], list)
        images = tuple((root / str(file)).absolute() for file in (entry["image"] if several else [entry["image"]]))
        listed |= {os.path.normpath(file) for file in images}
        if not entry.get("label"):
            dataset.error(images[0], "has no label in dataset.json", "add it, or take the case out of 'training'")
            continue
        parts = _structures(root, entry["label"])
        label = parts[0][1].parent if parts else (root / str(entry["label"])).absolute()
        name = str(entry.get(CASE_KEY) or case_stem(label if len(images) > 1 else images[0]))
        add_case(dataset, CaseFiles(name, images, label, parts, str(entry.get(PATIENT_KEY, ""))))
    if any(case.structures for case in dataset.cases):
        name_structures(dataset)
    for entry in index.get("test") or []:
        files = entry.get("image", []) if isinstance(entry, dict) else entry
        listed |= {os.path.normpath(root / str(file)) for file in ([files] if isinstance(files, str) else files)}
    for file in list_images(dataset, root / "imagesTr"):
        if os.path.normpath(file) not in listed:
            dataset.findings.append(Finding("warning", str(file), "is not in dataset.json", "list it, or leave it out"))
    _count(dataset, index, len(index["training"]))
    return dataset


def _nnunet(root: Path, index: Mapping[str, Any]) -> SourceDataset:
    dataset = SourceDataset(root, "nnU-Net", str(index.get("name", root.name)), licence=str(index.get("licence", "")))
    put_names(dataset, index["channel_names"], index.get("labels"))
    ending, channels = str(index.get("file_ending", ".nii.gz")), len(index["channel_names"])
    labels = {file.name.removesuffix(ending): file for file in list_images(dataset, root / "labelsTr", ending)}
    images: dict[str, dict[int, Path]] = {}
    for file in list_images(dataset, root / "imagesTr", ending):
        if named := nnunet_channel(file.name.removesuffix(ending)):
            images.setdefault(named[0], {})[named[1]] = file
        else:
            dataset.error(file, "is not named <case>_<four digits of the channel>", "rename it")
    for case in sorted({*images, *labels}):
        if case not in labels:
            dataset.error(images[case][min(images[case])], f"has no label labelsTr/{case}{ending}", "add it")
        elif case not in images:
            dataset.error(labels[case], f"has no image imagesTr/{case}_0000{ending}", "add it")
        elif [*images[case]] != [*range(channels)]:
            found = ", ".join(f"_{number:04d}" for number in images[case])
            what = f"has the channels {found}, dataset.json names {channels}"
            dataset.error(root / "imagesTr" / case, what, "add or remove files")
        else:
            add_case(dataset, CaseFiles(case, tuple(images[case].values()), labels[case]))
    _count(dataset, index, len(images))
    return dataset


def _structures(root: Path, label: Any) -> tuple[tuple[str, Path], ...]:
    """The files of a label that has one for each structure."""
    if not isinstance(label, dict):
        return ()
    return tuple((str(name), (root / str(file)).absolute()) for name, file in label.items())


def put_names(dataset: SourceDataset, channels: Any, labels: Any) -> None:
    """Puts names into the dataset, as ``dataset.json`` has them.

    Args:
        dataset: gets them, and findings about them.
        channels: index to name.
        labels: index to name (the Decathlon) or name to index (nnU-Net).
    """
    if isinstance(channels, dict) and channels:
        dataset.channel_names = [str(channels[key]) for key in sorted(channels, key=lambda key: str(key).zfill(4))]
    if not isinstance(labels, dict) or not labels:
        return
    by_index = all(str(key).isdigit() for key in labels)
    names: dict[int, str] = {}
    for name, value in ((v, k) for k, v in labels.items()) if by_index else labels.items():
        if not str(value).isdigit():
            dataset.error("dataset.json", f"gives the label {name} the value {value}", "give each one number, 1..N")
        elif name == "ignore":
            dataset.error("dataset.json", "has a label 'ignore'", "the bundle knows none: relabel such voxels")
        elif int(value):
            names[int(value)] = str(name)
    if sorted(names) != [*range(1, len(names) + 1)]:
        what = f"numbers its labels {', '.join(map(str, sorted(names)))}"
        dataset.error("dataset.json", what, "number them 1..N without gaps, in the label files too")
    dataset.label_names = dict(sorted(names.items()))


def _count(dataset: SourceDataset, index: Mapping[str, Any], found: int) -> None:
    said = index.get("numTraining")
    if said is not None and said != found:
        what = f"says numTraining {said}, there are {found} cases"
        dataset.findings.append(Finding("warning", "dataset.json", what, "correct the number, or find the rest"))
