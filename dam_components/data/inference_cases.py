"""The cases of an inference: found in a folder, and read one by one without letting a bad one stop the rest."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import IterableDataset
from tqdm import tqdm

from dam_components.data.dataset_layouts import SUFFIXES, case_stem, nnunet_channel
from dam_components.data.decathlon_list import read_decathlon_list
from dam_components.errors import failure_reason

__all__ = ["ReadableCases", "list_inference_cases"]

logger = logging.getLogger(__name__)


def list_inference_cases(dataset_dir: str | os.PathLike, image_channels: int = 1) -> list[dict[str, Any]]:
    """The images to segment: ``[{"image": path}, ...]``, sorted; of several channels in a file each, the paths.

    Args:
        dataset_dir: a folder of image files (.nii, .nii.gz, .mhd, .mha, .nrrd), or one in the layout of the Medical
            Segmentation Decathlon, of which the cases under ``test`` are taken, or if there are none, ``training``.
        image_channels: of an image. Where it has several, files named as nnU-Net does, ``CASE_0000.nii.gz``,
            ``CASE_0001.nii.gz`` and so on, are the channels of one case.

    Raises:
        FileNotFoundError: if there is no such folder, or no image in it.
    """
    folder = Path(dataset_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; name the images' folder with --dataset_dir")
    index = folder / "dataset.json"
    if index.is_file():
        for section in ("test", "training"):
            try:
                entries = read_decathlon_list(index, section)
            except ValueError:  # no such section
                continue
            cases = [{"image": entry["image"]} for entry in entries]
            if cases:
                return cases
    files = [f for f in sorted(folder.iterdir()) if f.name.endswith(SUFFIXES) and not f.name.startswith(".")]
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no image ({', '.join(SUFFIXES)}) and no dataset.json with cases; name the folder of "
            "the images themselves, as imagesTs"
        )
    if image_channels == 1:
        return [{"image": str(file)} for file in files]
    channels: dict[str, list[str]] = {}
    for file in files:
        named = nnunet_channel(case_stem(file))
        channels.setdefault(named[0] if named else file.name, []).append(str(file))
    return [{"image": paths if len(paths) > 1 else paths[0]} for paths in channels.values()]


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
        self.failed.append(f"{image}: {failure_reason(error)}")
        logger.error("left out %s", self.failed[-1])

    def exit_if_failed(self) -> None:
        """Ends the program with a non-zero status and the list of the cases that failed, if any."""
        if self.failed:
            lines = [f"error: {len(self.failed)} of {len(self.data)} cases failed, the others are done:", *self.failed]
            raise SystemExit("\n  ".join(lines))
