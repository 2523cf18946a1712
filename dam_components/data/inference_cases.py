"""The cases of an inference: found in a folder, and read one by one without letting a bad one stop the rest."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import IterableDataset
from tqdm import tqdm

from dam_components.data.dataset_layouts import SUFFIXES, case_stem, nnunet_channel
from dam_components.data.decathlon_list import read_decathlon_list
from dam_components.data.dicom_series import is_dicom_series
from dam_components.data.found_layouts import LABEL
from dam_components.errors import failure_reason, is_out_of_memory

__all__ = ["ReadableCases", "list_inference_cases"]

logger = logging.getLogger(__name__)


def list_inference_cases(dataset_dir: str | os.PathLike, image_channels: int = 1) -> list[dict[str, Any]]:
    """The images to segment: ``[{"image": path}, ...]``, sorted; of several channels in a file each, the paths.

    Args:
        dataset_dir: an image file; the folder of a DICOM series; a folder of images (.nii, .nii.gz, .img, .mhd, .mha,
            .nrrd) or of DICOM series, or with a folder a case; or one in the layout of the Medical Segmentation
            Decathlon, of which the cases under ``test`` are taken, or if there are none, ``training``. Labels beside
            their images (``X_seg`` beside ``X``) are left out.
        image_channels: of an image. Where it has several, files named as nnU-Net does, ``CASE_0000.nii.gz``,
            ``CASE_0001.nii.gz`` and so on, are the channels of one case.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in it.
        ValueError: if the file is no image.
    """
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
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = _images_of(folder) + [path for path in inner if is_dicom_series(path)]
    if not files:  # a folder a case
        files = [file for path in inner for file in _images_of(path)]
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no image ({', '.join(SUFFIXES)}), no DICOM series and no dataset.json with cases; name "
            "the folder of the images themselves, as imagesTs"
        )
    if image_channels == 1:
        return [{"image": str(file)} for file in files]
    channels: dict[Path, list[str]] = {}
    for file in files:
        named = nnunet_channel(case_stem(file))
        channels.setdefault(file.parent / (named[0] if named else file.name), []).append(str(file))
    return [{"image": paths if len(paths) > 1 else paths[0]} for paths in channels.values()]


def _listed(index: Path) -> list[dict[str, Any]]:
    """The cases of a ``dataset.json``, those to test before those to train."""
    for section in ("test", "training"):
        try:
            cases = [{"image": entry["image"]} for entry in read_decathlon_list(index, section)]
        except ValueError:  # no such section
            continue
        if cases:
            return cases
    return []


def _images_of(folder: Path) -> list[Path]:
    """The image files of a folder; labels beside their images are named in the log, once."""
    names = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    files = {case_stem(file): file for file in names if file.is_file() and file.name.lower().endswith(SUFFIXES)}
    marked = {stem: found["base"] for stem in files if (found := LABEL.match(stem))}
    others = [stem for stem in files if stem not in marked]
    labels = [stem for stem, base in marked.items() if any(re.match(rf"{re.escape(base)}([-_.]|$)", o) for o in others)]
    if labels:
        some = ", ".join(files[stem].name for stem in labels[:3]) + (" and others" if len(labels) > 3 else "")
        logger.info("left out %d labels beside their images in %s: %s", len(labels), folder, some)
    return [file for stem, file in files.items() if stem not in labels]


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
