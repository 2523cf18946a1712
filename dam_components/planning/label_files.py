"""Labels as classes 0..N: values mapped, files of one structure each put together, and written for the bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from dam_components.atomic_files import whole_file
from dam_components.data.bad_file import BadFile
from dam_components.data.dataset_layouts import CaseFiles, SourceDataset
from dam_components.data.grids import WHOLE_SHIFT, grid_shift
from dam_components.data.image_files import read_volume
from dam_components.data.label_values import wrong_label

__all__ = ["classes_of_values", "map_values", "read_label", "use_label_values", "values_held", "write_labels"]


def classes_of_values(option: Mapping[Any, Any]) -> tuple[dict[int, str], dict[int, int]]:
    """Names of the classes, and the class of each value, from the option ``--label_values``.

    Args:
        option: the value of each class in the files, or several, by name. What is not named is background.

    Raises:
        ValueError: no values, a value twice, or one that is no whole number.

    Example:
        >>> classes_of_values({"liver": 5, "kidneys": [2, 3]})
        ({1: 'liver', 2: 'kidneys'}, {5: 1, 2: 2, 3: 2})
    """
    example = "for example --label_values '{liver: 5, kidneys: [2, 3]}', or all"
    names: dict[int, str] = {}
    classes: dict[int, int] = {}
    if not isinstance(option, Mapping) or not option:
        raise ValueError(f"label_values must give each class its values in the files, {example}; got {option!r}")
    for number, (name, values) in enumerate(option.items(), start=1):
        names[number] = str(name)
        for value in values if isinstance(values, (list, tuple)) else [values]:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"label_values must be whole numbers from 1, {example}; got {value!r} for {name}")
            if value in classes:
                raise ValueError(f"label_values gives the value {value} to both {names[classes[value]]} and {name}")
            classes[value] = number
    return names, classes


def use_label_values(dataset: SourceDataset, option: Mapping[Any, Any] | str | None) -> None:
    """Puts the option into the dataset; ``all`` makes a class of each value that its files hold, in their order.

    Raises:
        ValueError: see :func:`classes_of_values`; each structure has a file of its own.
    """
    if option is None:
        return
    if any(case.structures for case in dataset.cases):
        raise ValueError(
            f"label_values is for files that hold several structures, and {dataset.folder} has a file for each: choose "
            "among them with label_names"
        )
    if str(option) == "all":
        values = sorted(values_held(dataset.cases) - {0})
        stated = dataset.label_names or {}
        option = {stated.get(value, f"label {value}"): value for value in values}
    dataset.label_names, dataset.label_values = classes_of_values(option)  # type: ignore[arg-type]
    dataset.findings = [finding for finding in dataset.findings if finding.where != "dataset.json"]


def values_held(cases: Iterable[CaseFiles]) -> set[int]:
    """All values of the label files that can be read; the others are reported when they are checked."""
    held: set[int] = set()
    for case in cases:
        try:
            values = np.unique(np.asarray(read_volume(case.label)))
        except BadFile:
            continue
        held |= {int(value) for value in values.round().tolist() if wrong_label(values) is None}
    return held


def map_values(label: torch.Tensor, classes: Mapping[int, int]) -> torch.Tensor:
    """Each value's class; what has none is background.

    Example:
        >>> map_values(torch.tensor([0.0, 128.0, 255.0]), {128: 1, 255: 2}).tolist()
        [0.0, 1.0, 2.0]
    """
    mapped = torch.zeros_like(label)
    rounded = label.round()
    for value, number in classes.items():
        mapped[rounded == value] = number
    return mapped


def read_label(
    case: CaseFiles, classes: Mapping[int, int] | None = None, names: Mapping[int, str] | None = None
) -> MetaTensor:
    """A case's label as class indices, channel first.

    Args:
        case: its files.
        classes: of the values in the file; ``None``: the values themselves.
        names: of the classes, for a label of one file a structure.

    Raises:
        BadFile: a file cannot be read, structures overlap or do not fit each other, a value is no label.
    """
    label = _together(case.structures, names or {}) if case.structures else read_volume(case.label)
    wrong = wrong_label(np.unique(np.asarray(label)))
    if classes is None or wrong is not None:  # a value that is none is reported with the others of the case
        return label
    mapped = label.clone()
    mapped[:] = map_values(label.as_tensor(), classes)
    return mapped


def _together(structures: Sequence[tuple[str, Path]], names: Mapping[int, str]) -> MetaTensor:
    """One label of a file for each structure: what is not 0 in it. A structure without a name here is background."""
    numbers = {name: number for number, name in names.items()}
    merged: Any = None
    for name, file in structures:
        volume = read_volume(file)
        if merged is None:
            merged, first = torch.zeros_like(volume), file
        if volume.shape != merged.shape or not grid_shift(merged, volume)[0] <= WHOLE_SHIFT:
            raise BadFile(file, f"lies on another grid than {first}", "give them one")
        if name not in numbers:
            continue
        here = volume.as_tensor() > 0.5
        if doubled := int((here & (merged.as_tensor() > 0)).sum()):
            what = f"overlaps another structure in {doubled} voxels"
            raise BadFile(file, what, "a voxel has one class: take the overlap out of one of them")
        merged[here] = numbers[name]
    return merged


def write_labels(dataset: SourceDataset, folder: Path) -> dict[str, Path]:
    """Writes each case's label as class indices, on the grid of its file, and returns the files by case.

    Args:
        dataset: whose ``writes_labels`` is true.
        folder: where to.
    """
    kind = np.uint8 if max(dataset.label_names or {0: ""}) < 256 else np.uint16
    files = {}
    for case in dataset.cases:
        label = read_label(case, dataset.label_values, dataset.label_names)
        image = nib.Nifti1Image(np.asarray(label[0]).round().astype(kind), np.asarray(label.affine, float))
        image.header.set_xyzt_units("mm")
        files[case.name] = folder / f"{case.name}.nii.gz"
        with whole_file(files[case.name]) as temporary:
            nib.save(image, temporary)
    return files
