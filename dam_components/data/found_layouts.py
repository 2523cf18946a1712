"""Datasets as people have them, without a list: labels beside images, a folder a case, BIDS, a file a structure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from dam_components.data.dataset_layouts import (
    SUFFIXES,
    CaseFiles,
    SourceDataset,
    case_stem,
    folder_pair,
    name_structures,
)
from dam_components.data.finding import Finding
from dam_components.data.label_file_names import image_of_label, is_label_alone, marked_base, names_label

__all__ = ["find_dataset"]

IMAGES = ("imagesTr", "images", "image", "img")
LABELS = ("labelsTr", "labels", "label", "masks", "mask", "seg")
STRUCTURES = ("segmentations", "structures", "labels", "masks", "segmentation")
KINDS = (
    "imagesTr with labelsTr or images with labels, X_seg beside X (also in a folder a case), segmentation-0 beside "
    "volume-0, BIDS with derivatives, a folder of structures beside a case's image"
)

LIST = '{"training": [{"case": "1", "image": "1/T1.nii.gz", "label": "1/segm.nii.gz"}, ...], "labels": {"1": "liver"}}'


def find_dataset(root: Path) -> SourceDataset:
    """The labelled cases of a folder without ``dataset.json``, by the first of these layouts that it has.

    ==================  ==================================================================================
    two folders         ``imagesTr`` and ``labelsTr``, or ``images`` and ``labels`` (``masks``)
    BIDS                ``sub-01/.../sub-01_T1w`` with ``derivatives/NAME/sub-01/.../sub-01_dseg``; also in ``rawdata``
    a file a structure  ``case/ct`` with ``case/segmentations/liver``, ``spleen``, ...: TotalSegmentator's
    label beside image  ``X_seg`` (``_label``, ``_mask``, ``_gt``) beside ``X``, or beside ``X_t1``, ``X_flair``
                        as channels; ``segmentation-0`` beside ``volume-0``; in one folder or a folder a case, where
                        the label may be ``segmentation`` alone: IBSR18's, BraTS's, LiTS's, KiTS's
    ==================  ==================================================================================

    Args:
        root: the folder.

    Raises:
        FileNotFoundError: it has none of them.
    """
    images, labels = (
        next((root / name for name in names if (root / name).is_dir()), None) for names in (IMAGES, LABELS)
    )
    if images and labels:
        return folder_pair(root, images, labels)
    raw = root / "rawdata" if (root / "rawdata").is_dir() else root
    if (root / "derivatives").is_dir() and any(raw.glob("sub-*")):
        return _bids(root, raw)
    folders = [root, *sorted(folder for folder in root.iterdir() if folder.is_dir() and _shown(folder))]
    if any((folder / name).is_dir() for folder in folders for name in STRUCTURES):
        return _structures(root, folders)
    dataset = SourceDataset(root, "label beside image", root.name)
    for folder in folders:
        _beside(dataset, folder)
    if not dataset.cases and not dataset.findings:
        raise FileNotFoundError(
            f"{root} holds no labelled case in a known layout ({KINDS}): name the folders of images and labels with "
            f"--images and --labels, or list the cases in {root / 'dataset.json'}: {LIST}"
        )
    return _with_channels(dataset)


def _shown(path: Path) -> bool:
    return not path.name.startswith(".")


def _images(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if _shown(file) and file.name.lower().endswith(SUFFIXES))


def _beside(dataset: SourceDataset, folder: Path) -> None:
    """The labels of one folder, each with the images whose names go with it."""
    files = {case_stem(file): file for file in _images(folder)}
    labels = {stem for stem in files if names_label(stem)}
    if not labels and folder != dataset.folder:  # a case's folder, in which the label's name need not tell the case
        labels = {stem for stem in files if is_label_alone(stem)}
    images = [name for name in files if name not in labels]
    used = set(labels)
    patient = folder.name if folder != dataset.folder and len(labels) > 1 else ""
    for stem in sorted(labels):
        case, chosen = _images_of(stem, images, folder)
        used.update(chosen)
        if chosen:
            paths = tuple(files[name] for name in chosen)
            dataset.cases.append(CaseFiles(case, paths, files[stem], patient=patient))
        else:
            remedy = "put its image beside it, take the label out, or list the cases in a dataset.json"
            dataset.error(files[stem], "has no image of its name beside it", remedy)
    for name in (name for name in files if name not in used):
        what = "has no label beside it and is left out"
        dataset.findings.append(Finding("warning", str(files[name]), what, "add its label if it is a case"))


def _images_of(stem: str, images: Sequence[str], folder: Path) -> tuple[str, list[str]]:
    """A label's case, and its images among those of its folder."""
    if is_label_alone(stem):
        return folder.name, [*images]
    base = marked_base(stem)
    if base is not None and base not in images:
        return base, [name for name in images if re.match(rf"{re.escape(base)}[-_.]", name)]
    found = image_of_label(stem, images)
    return (found or stem), [found] if found else []


def _with_channels(dataset: SourceDataset) -> SourceDataset:
    """Channels by what follows a case's name in its images' names, the same ones in each case."""
    named = [tuple(_channel(case, file) for file in case.images) for case in dataset.cases]
    names = sorted({name for row in named for name in row})
    if len(set(named)) == 1 and all(names):
        dataset.channel_names = [*named[0]]
    for case, row in zip(dataset.cases, named, strict=True):
        if sorted(row) != names:
            has, all_names = ", ".join(row), ", ".join(names)
            dataset.error(case.label.parent, f"has the images {has or case.name}, others {all_names}", "add what lacks")
    _check_names(dataset)
    return dataset


def _channel(case: CaseFiles, file: Path) -> str:
    """An image's name without its case's; where that does not stand there, a lone image's without its number."""
    stem = case_stem(file)
    if not stem.startswith(case.name) and len(case.images) == 1:
        stem = re.sub(r"\d{3,}", "", stem)
    return stem.removeprefix(case.name).strip("-_.")


def _structures(root: Path, folders: Iterable[Path]) -> SourceDataset:
    """A case is a folder with images and a folder of structures."""
    dataset = SourceDataset(root, "a file a structure", root.name)
    for folder in folders:
        marked = next((folder / name for name in STRUCTURES if (folder / name).is_dir()), None)
        if marked is None:
            if folder != root and _images(folder):
                dataset.error(folder, "has no folder of structures", f"add {STRUCTURES[0]}, or take the case out")
            continue
        images, files = _images(folder), _images(marked)
        if not images or not files:
            dataset.error(folder, "has no image" if not images else "has no structure", "add it, or take the case out")
            continue
        parts = tuple((case_stem(file), file) for file in files)
        dataset.cases.append(CaseFiles(folder.name, tuple(images), marked, parts))
    channels = {tuple(case_stem(file) for file in case.images) for case in dataset.cases}
    if len(channels) == 1:
        dataset.channel_names = [*channels.pop()]
    name_structures(dataset)
    return dataset


def _bids(root: Path, folder: Path) -> SourceDataset:
    """Labels among the derivatives; the raw images of the same subject and session are the channels."""
    dataset = SourceDataset(root, "BIDS", root.name)
    labels = [file for file in sorted((root / "derivatives").rglob("sub-*")) if _is_label(file)]
    by_place: dict[str, list[Path]] = {}
    for file in labels:
        by_place.setdefault(_place(file.name), []).append(file)
    raw = [file for file in sorted(folder.glob("sub-*/**/sub-*")) if file.is_file() and _is_image(file)]
    suffixes = sorted({case_stem(file).split("_")[-1] for file in raw if _place(file.name) in by_place})
    for place, files in by_place.items():
        images = {case_stem(file).split("_")[-1]: file for file in raw if _place(file.name) == place}
        if len(files) > 1:
            dataset.error(files[1], f"is a second label of {place}", "keep one")
        elif sorted(images) != suffixes or not suffixes:
            has = ", ".join(sorted(images)) or "no image"
            dataset.error(files[0], f"has {has} in {folder / place.split('_')[0]}", f"give it {', '.join(suffixes)}")
        else:
            paths = tuple(images[name] for name in suffixes)
            dataset.cases.append(CaseFiles(place, paths, files[0], patient=place.split("_")[0]))
    for file in (file for file in raw if _place(file.name) not in by_place):
        remedy = "add its label if it is a case"
        dataset.findings.append(
            Finding("warning", str(file), "has no label among the derivatives and is left out", remedy)
        )
    dataset.channel_names = suffixes or None
    if not labels:
        dataset.error(root / "derivatives", "holds no label", "name them sub-<...>_dseg.nii.gz")
    return dataset


def _place(name: str) -> str:
    """Subject and session of a BIDS name."""
    return "_".join(part for part in re.split("_", name.split(".")[0]) if part.startswith(("sub-", "ses-")))


def _is_image(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def _is_label(file: Path) -> bool:
    return file.is_file() and _is_image(file) and marked_base(case_stem(file)) is not None


def _check_names(dataset: SourceDataset) -> None:
    names: Sequence[str] = [case.name for case in dataset.cases]
    for case in dataset.cases:
        if names.count(case.name) > 1:
            dataset.error(case.images[0], f"makes a second case named {case.name}", "rename the files")
