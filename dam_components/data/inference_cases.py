"""The cases of an inference: found in a folder, and read one by one without letting a bad one stop the rest."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import IterableDataset
from tqdm import tqdm

from dam_components.data.dataset_layouts import (
    CASE_KEY,
    COMPANIONS,
    SUFFIXES,
    case_stem,
    listed_name,
    nnunet_channel,
)
from dam_components.data.decathlon_list import NoSuchListError, read_decathlon_list
from dam_components.data.dicom_series import is_dicom_series
from dam_components.data.finding import first_names
from dam_components.data.label_file_names import image_of_label, is_label_alone, marked_base, names_label
from dam_components.errors import failure_reason, is_out_of_memory

__all__ = ["ReadableCases", "list_inference_cases"]

logger = logging.getLogger(__name__)


def list_inference_cases(dataset_dir: str | os.PathLike, image_channels: int = 1) -> list[dict[str, Any]]:
    """The images to segment: ``[{"image": path}, ...]``, sorted; of several channels in a file each, the paths.

    Args:
        dataset_dir: an image file; the folder of a DICOM series; a folder of images (.nii, .nii.gz, .img, .mhd, .mha,
            .nrrd) or of DICOM series, or with a folder a case, whose name is the case's where names of files are the
            same; or one in the layout of the Medical Segmentation
            Decathlon, of which the cases under ``test`` are taken, or if there are none, ``training``. Labels beside
            their images (``X_seg`` beside ``X``) are left out.
        image_channels: of an image. Where it has several, files named as nnU-Net does, ``CASE_0000.nii.gz``,
            ``CASE_0001.nii.gz`` and so on, are the channels of one case. Without a ``CASE_0000`` the digits are no
            channels: they are part of each case's name.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in it.
        ValueError: if the file is no image, two cases have one name, or ``dataset.json`` is damaged.
    """
    cases = _find_cases(dataset_dir, image_channels)
    return _distinct(_with_digits(cases))


def _find_cases(dataset_dir: str | os.PathLike, image_channels: int) -> list[dict[str, Any]]:
    folder = Path(dataset_dir)
    if folder.is_file():
        if not folder.name.lower().endswith(SUFFIXES):
            raise ValueError(f"{folder} is no image ({', '.join(SUFFIXES)}); for DICOM name the folder of the series")
        return [{"image": str(folder)}]
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; name the images' folder with --dataset_dir")
    if (folder / "dataset.json").is_file() and (cases := _listed(folder / "dataset.json")):
        return cases
    if is_dicom_series(folder):
        return [{"image": str(folder)}]
    files = _files_of(folder)
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no image ({', '.join(SUFFIXES)}), no DICOM series and no dataset.json with cases; name "
            "the folder of the images themselves, as imagesTs"
        )
    if image_channels == 1:
        return [{"image": str(file)} for file in files]
    channels: dict[Path, list[str]] = {}
    channel_of = _channel_cases(files)
    for file in files:
        channels.setdefault(channel_of.get(file) or file, []).append(str(file))
    return [{"image": paths if len(paths) > 1 else paths[0]} for paths in channels.values()]


def _channel_cases(files: Iterable[Path]) -> dict[Path, Path | None]:
    """The case, by place and name, of each file whose name ends in four digits; ``None`` if these are no channel,
    since there is no ``CASE_0000``.
    """
    named = {file: file.parent / found[0] for file in files if (found := nnunet_channel(case_stem(file)))}
    whole = {case for file, case in named.items() if case_stem(file).endswith("_0000")}
    return {file: case if case in whole else None for file, case in named.items()}


def _with_digits(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cases; those of a file whose digits are no channel, ``IMG_0001``, are named by its whole name."""
    files = [Path(case["image"]) if isinstance(case["image"], str) else None for case in cases]
    channel_of = _channel_cases(file for file in files if file)
    return [
        {CASE_KEY: case_stem(file), **case} if file and channel_of.get(file, file) is None else case
        for file, case in zip(files, cases, strict=True)
    ]


def _listed(index: Path) -> list[dict[str, Any]]:
    """The cases of a ``dataset.json``, those to test before those to train."""
    for section in ("test", "training"):
        try:
            listed = read_decathlon_list(index, section)
            cases = [{key: entry[key] for key in ("image", CASE_KEY) if key in entry} for entry in listed]
        except NoSuchListError:
            continue
        if cases:
            return cases
    return []


def _files_of(folder: Path) -> list[Path]:
    """Images and series of a folder; where it has none, those of the folders in it."""
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = _images_of(folder) + [path for path in inner if is_dicom_series(path)]
    if not files:  # a folder a case
        return [file for path in inner for file in _images_of(path)]
    if passed := [path for path in inner if path not in files and _has_images(path)]:
        _tell_left_out("folders of images beside the images", folder, passed)
    return files


def _images_of(folder: Path) -> list[Path]:
    """The image files of a folder; what is left out is named in the log, once."""
    names = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    files = [file for file in names if file.is_file() and file.name.lower().endswith(SUFFIXES)]
    labels = _labels_of(files)
    if labels:
        _tell_left_out("labels beside their images", folder, labels)
    known = (*SUFFIXES, *COMPANIONS)
    if strange := [file for file in names if file.is_file() and not file.name.lower().endswith(known)]:
        _tell_left_out("files that are no images", folder, strange)
    return [file for file in files if file not in labels]


def _labels_of(files: Sequence[Path]) -> list[Path]:
    """Those of the files that are a label of another one, by their names."""
    stems = {file: case_stem(file) for file in files}
    images = [stem for stem in stems.values() if not names_label(stem) and not is_label_alone(stem)]
    starts = {start for stem in images for start in _starts(stem)}
    return [
        file
        for file, stem in stems.items()
        if (images and is_label_alone(stem))
        or marked_base(stem) in starts
        or (stem not in images and image_of_label(stem, images))
    ]


def _starts(stem: str) -> list[str]:
    """The stem, and what of it stands before each ``-``, ``_`` and ``.``."""
    return [stem, *(stem[: found.start()] for found in re.finditer(r"[-_.]", stem))]


def _has_images(folder: Path) -> bool:
    return any(file.name.lower().endswith(SUFFIXES) for file in folder.iterdir())


def _tell_left_out(what: str, folder: Path, files: Sequence[Path]) -> None:
    """One line in the log, with the first three."""
    logger.warning("left out %d %s in %s: %s", len(files), what, folder, first_names([file.name for file in files]))


def _distinct(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cases, those of one file's name named after their folders: results would overwrite each other.

    Raises:
        ValueError: two cases have one name also then.
    """
    count = Counter(map(listed_name, cases))
    named = []
    for case in cases:
        twice = count[listed_name(case)] > 1 and isinstance(case["image"], str)
        named.append({**case, CASE_KEY: Path(case["image"]).parent.name} if twice else case)
    count = Counter(map(listed_name, named))
    if same := [case["image"] for case in named if count[listed_name(case)] > 1]:
        raise ValueError(
            f"{same[0]} and {same[1]} are cases of one name, whose results would overwrite each other: rename one, or "
            "segment them apart"
        )
    return named


class ReadableCases(IterableDataset):
    """A dataset that yields the cases it can read and remembers those it cannot.

    A progress bar runs along. After the run, :meth:`exit_if_failed` lists what was remembered and ends the
    program with a non-zero status, when every good case has been segmented.

    Args:
        data: what ``transform`` takes, one dictionary a case.
        transform: reads and prepares a case.
    """

    def __init__(self, data: Sequence[dict[str, Any]], transform: Callable) -> None:
        self.data = data
        self.transform = transform
        self.failed: list[str] = []

    def __iter__(self) -> Iterator[Any]:
        self.failed = []
        for case in tqdm(self.data, desc="cases", unit="case"):
            try:
                item = self.transform(case)
            except Exception as error:
                self.leave_out(case["image"], error)
                continue
            yield item

    def leave_out(self, image: Any, error: Exception) -> None:
        """Remembers a case that failed, here or further on, and says so in the log.

        Args:
            image: its file or files.
            error: why.
        """
        reason = failure_reason(error)
        if is_out_of_memory(error):
            reason = f"there is not enough memory for it: crop it, or use a machine with more ({reason})"
        self.failed.append(f"{image}: {reason}")
        logger.error("left out %s", self.failed[-1])

    def exit_if_failed(self) -> None:
        """Ends the program with a non-zero status and the list of the cases that failed, if any."""
        if self.failed:
            lines = [f"error: {len(self.failed)} of {len(self.data)} cases failed, the others are done:", *self.failed]
            raise SystemExit("\n  ".join(lines))
