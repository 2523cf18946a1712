"""Which files make up a labelled dataset: the Medical Segmentation Decathlon's layout, nnU-Net's, or two folders."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dam_components.data.finding import Finding, first_names
from dam_components.data.label_file_names import image_of_label

__all__ = [
    *("CaseFiles", "SourceDataset", "add_case", "case_name", "case_stem", "folder_pair", "list_images"),
    *("listed_name", "name_from_meta", "name_structures", "nnunet_channel", "read_dataset"),
]

CASE_KEY = "case"  # in a list of cases, and in what is known of an image: a name that its file does not give
PATIENT_KEY = "patient"  # in a list of cases: whose image it is, where a patient has several
SUFFIXES = (".nii.gz", ".nii", ".img", ".mhd", ".mha", ".nrrd")  # in capitals too
COMPANIONS = (
    ".hdr",
    ".raw",
    ".zraw",
    ".json",
    ".txt",
    ".csv",
    ".tsv",
    ".md",
    ".bval",
    ".bvec",
)  # what lies beside images


@dataclass(frozen=True)
class CaseFiles:
    """A case's images, one file (or DICOM series folder) a channel or one for all, and its label.

    ``structures`` are the files of a label that has one for each structure, by name; ``label`` is then their folder.
    ``patient`` is whose they are, where that is known: folds keep the cases of a patient together.
    """

    name: str
    images: tuple[Path, ...]
    label: Path
    structures: tuple[tuple[str, Path], ...] = ()
    patient: str = ""


@dataclass
class SourceDataset:
    """A dataset as it was found, with what is wrong with its list of files.

    ``channel_names`` and ``label_names`` (from 1, without background) are ``None`` where nothing states them.
    ``label_values`` says which class each value of the label files is; ``None``: the value itself.
    """

    folder: Path
    layout: str
    name: str
    channel_names: list[str] | None = None
    label_names: dict[int, str] | None = None
    licence: str = ""
    cases: list[CaseFiles] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    label_values: dict[int, int] | None = None

    @property
    def patients(self) -> int:
        """How many patients there are; a case of nobody known is one."""
        return len({case.patient or case.name for case in self.cases})

    @property
    def writes_labels(self) -> bool:
        """Whether the bundle needs label files of its own: their values or their number change."""
        return self.label_values is not None or any(case.structures for case in self.cases)

    def error(self, where: Any, what: str, remedy: str) -> None:
        """Notes something that is wrong, and the remedy."""
        self.findings.append(Finding("error", str(where), what, remedy))


def read_dataset(folder: str | os.PathLike, images: str | None = None, labels: str | None = None) -> SourceDataset:
    """Lists a dataset's cases without opening an image.

    Without ``images`` and ``labels`` the folder must hold a ``dataset.json``: the Decathlon's (``training`` lists the
    pairs) or that of nnU-Net v2 (``channel_names``, ``labels``, ``file_ending``; ``imagesTr/<case>_0000`` and so on,
    ``labelsTr/<case>``), or lie in a layout of :func:`~dam_components.data.found_layouts.find_dataset`. With them the
    cases are the pairs of equal stem in two folders, where an image's may end with nnU-Net's channel (``_0000``); a
    folder in there is a DICOM series.

    Args:
        folder: of the dataset.
        images: folder of the images, from ``folder``.
        labels: folder of the labels, from ``folder``.

    Raises:
        FileNotFoundError: there is no such folder, or no ``dataset.json`` and no names of folders.
        ValueError: one of the folders alone is named, or ``dataset.json`` is of neither kind.
    """
    root = Path(folder).absolute()
    if (images is None) != (labels is None):
        raise ValueError(f"a pair of folders needs both --images and --labels, got images={images}, labels={labels}")
    for path in [root] if images is None else [root / str(images), root / str(labels)]:
        if not path.is_dir():
            raise FileNotFoundError(f"there is no folder {path}; name the dataset's with --data")
    if images is not None:
        return folder_pair(root, root / str(images), root / str(labels))
    file = root / "dataset.json"
    if not file.is_file():
        from dam_components.data.found_layouts import find_dataset

        return find_dataset(root)
    try:
        index = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({error}); correct it, or name --images and --labels") from error
    from dam_components.data.listed_layouts import listed_dataset

    return listed_dataset(root, index)


def case_stem(path: Path) -> str:
    """A file's name without its image suffix.

    Example:
        >>> case_stem(Path("a/case.1.NII.gz")), case_stem(Path("dicom/case.1"))
        ('case.1', 'case.1')
    """
    return next((path.name[: -len(s)] for s in SUFFIXES if path.name.lower().endswith(s)), path.name)


def case_name(path: str | os.PathLike) -> str:
    """A case's name from one of its files, the same in every output: without the suffix and nnU-Net's channel.

    Example:
        >>> [case_name(name) for name in ("a/c0_0000.nii.gz", "a/c0.NII.GZ", "dicom/1.2.840.1")]
        ['c0', 'c0', '1.2.840.1']
    """
    stem = case_stem(Path(path))
    named = nnunet_channel(stem)
    return named[0] if named else stem


def name_from_meta(meta: Mapping[str, Any]) -> str:
    """A case's name from what is known of one of its images: what its list calls it, else from the file.

    Example:
        >>> [name_from_meta({"filename_or_obj": "a/ct_0000.nii", **known}) for known in ({}, {"case": "a"})]
        ['ct', 'a']
    """
    return str(meta.get(CASE_KEY) or case_name(str(meta["filename_or_obj"])))


def listed_name(case: Mapping[str, Any]) -> str:
    """A case's name from its entry in a list: ``case`` where that is given, else from its image, or the first of them.

    Example:
        >>> listed_name({"image": ["c0_0000.nii", "c0_0001.nii"]}), listed_name({"image": "a/ct.nii", "case": "a"})
        ('c0', 'a')
    """
    image = case["image"]
    return str(case.get("case") or case_name(image if isinstance(image, (str, os.PathLike)) else image[0]))


def nnunet_channel(stem: str) -> tuple[str, int] | None:
    """Case and channel in nnU-Net's name of an image, without its ending; ``None`` if it is not such a name.

    Example:
        >>> nnunet_channel("case_1_0002"), nnunet_channel("case_1")
        (('case_1', 2), None)
    """
    case, _, number = stem.rpartition("_")
    return (case, int(number)) if case and len(number) == 4 and number.isdigit() else None


def folder_pair(root: Path, images: Path, labels: Path) -> SourceDataset:
    """Two folders; of several images to a label, named as nnU-Net does, each is a channel."""
    dataset = SourceDataset(root, "folders", root.name)
    files = {case_stem(file): file for file in list_images(dataset, images)}
    names = {*files, *(named[0] for stem in files if (named := nnunet_channel(stem)))}
    marked: dict[str, Path] = {}
    for file in list_images(dataset, labels):
        case = image_of_label(case_stem(file), names) or case_stem(file)
        if case in marked:
            dataset.error(file, f"is a second label of {case}, beside {marked[case]}", "keep one")
        marked.setdefault(case, file)
    found: dict[str, dict[int, Path]] = {}
    for stem, file in files.items():
        named = nnunet_channel(stem)
        case, channel = named if named and stem not in marked and named[0] in marked else (stem, 0)
        found.setdefault(case, {})[channel] = file
    for name in sorted({*found, *marked}):
        if name not in marked:
            first = next(iter(found[name].values()))
            dataset.error(first, f"has no label of that name in {labels}", "add it, or take the image out")
        elif name not in found:
            dataset.error(marked[name], f"has no image of that name in {images}", "add it, or take the label out")
        elif sorted(found[name]) != [*range(len(found[name]))]:
            numbers = ", ".join(f"_{number:04d}" for number in sorted(found[name]))
            dataset.error(images / name, f"has the channels {numbers}", "number them from _0000 without gaps")
        else:
            channels = tuple(found[name][channel] for channel in sorted(found[name]))
            add_case(dataset, CaseFiles(name, channels, marked[name]))
    return dataset


def add_case(dataset: SourceDataset, case: CaseFiles) -> None:
    """Puts a case into the dataset if its files are there and its name is new, else an error."""
    files = (*case.images, *(file for _, file in case.structures)) if case.structures else (*case.images, case.label)
    missing = [file for file in files if not file.exists()]
    for file in missing:
        dataset.error(file, "does not exist", f"fetch it, or take the case {case.name} out")
    if any(case.name == other.name for other in dataset.cases):
        remedy = 'give each entry its "case" in dataset.json' if dataset.layout == "decathlon" else "rename the files"
        dataset.error(case.images[0], f"makes a second case named {case.name}", remedy)
    elif not missing:
        dataset.cases.append(case)


def name_structures(dataset: SourceDataset) -> None:
    """Names the labels after the files of structures where nothing else does, and tells what lacks."""
    found = sorted({name for case in dataset.cases for name, _ in case.structures})
    if dataset.label_names is None:
        dataset.label_names = dict(enumerate(found, start=1)) or None
    named = {*(dataset.label_names or {}).values()}
    if unknown := sorted(named - {*found}):
        what = f"names {first_names(unknown)}, of which no case has a file"
        dataset.error("dataset.json", what, f"correct the names; there are {first_names(found)}")
    if others := sorted({*found} - named):
        what = f"does not name {first_names(others)} among its labels"
        dataset.findings.append(Finding("warning", "dataset.json", what, "it counts as background"))
    for case in dataset.cases:
        lacking = sorted(named - {*unknown} - {name for name, _ in case.structures})
        if lacking:
            what = f"has no {', '.join(lacking[:3])}" + (" and others" if len(lacking) > 3 else "")
            dataset.findings.append(Finding("warning", str(case.label), what, "it counts as absent from the case"))


def list_images(dataset: SourceDataset, folder: Path, ending: str | None = None) -> list[Path]:
    """The images of a folder and the folders in it, sorted; what is neither is reported."""
    files = sorted(file for file in folder.iterdir() if not file.name.startswith(".")) if folder.is_dir() else []
    endings = SUFFIXES if ending is None else (ending.lower(),)
    chosen = [file for file in files if file.name.lower().endswith(endings) or (ending is None and file.is_dir())]
    for file in files:
        if file not in chosen and not file.name.lower().endswith(COMPANIONS):
            what = f"is no image ({', '.join(endings)}) and is left out"
            dataset.findings.append(Finding("warning", str(file), what, "convert it if it is meant to be one"))
    return chosen
