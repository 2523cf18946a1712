"""What can be wrong with the files of one labelled case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from dam_components.data.bad_file import BadFile
from dam_components.data.finding import Finding
from dam_components.data.grids import SAME_GRID, WHOLE_SHIFT, grid_shift
from dam_components.data.image_files import read_volume
from dam_components.data.label_values import wrong_label

__all__ = ["check_images", "check_label", "check_volumes", "read_volumes"]

Volumes = Mapping[Path, MetaTensor]
"""Volumes by file, channel first."""


def read_volumes(files: Iterable[Path]) -> tuple[dict[Path, MetaTensor], list[Finding]]:
    """Reads each file as the bundle does, as float32, and says which cannot be read, or lies nowhere in space.

    Returns:
        The volumes that could be read, by file, and the findings.
    """
    volumes: dict[Path, MetaTensor] = {}
    findings: list[Finding] = []
    for file in files:
        try:
            volumes[file] = read_volume(file)
        except BadFile as error:
            findings.append(Finding("error", error.file, error.what, error.remedy))
    return volumes, findings


def check_volumes(volumes: Volumes) -> list[Finding]:
    """All must have three dimensions."""
    return [
        _error(file, f"has {volume.ndim - 1} dimensions", "the bundle segments volumes: give it 3")
        for file, volume in volumes.items()
        if volume.ndim != 4
    ]


def check_images(images: Volumes, files: int) -> list[Finding]:
    """Checks the image files of a case: one grid, one channel a file, finite voxels.

    Args:
        images: those that could be read.
        files: how many the case has. One file may hold several channels.
    """
    findings = [finding for file in [*images][1:] for finding in _check_grid(images, file, images[file])]
    for file, volume in images.items():
        if files > 1 and len(volume) != 1:
            what = f"has {len(volume)} channels and is one of several files"
            findings.append(_error(file, what, "write a file for each channel"))
        if not torch.isfinite(volume).all():
            findings.append(_error(file, "holds NaN or infinite voxels", "replace them"))
    return findings


def check_label(file: Path, label: MetaTensor, images: Volumes) -> list[Finding]:
    """Checks a label file: one channel of whole numbers from 0, on the grid of the first of the images."""
    findings = []
    if len(label) != 1:
        findings.append(_error(file, f"has {len(label)} channels", "write one channel of class indices"))
    values = np.unique(np.asarray(label[:1]))
    if wrong := wrong_label(values):
        findings.append(_error(file, f"holds the label {wrong}", "labels must be whole numbers from 0: relabel it"))
    elif not values.round().any():
        findings.append(Finding("warning", str(file), "is all background", "check that this is meant"))
    return findings + _check_grid(images, file, label)


def _error(where: Path, what: str, remedy: str) -> Finding:
    return Finding("error", str(where), what, remedy)


def _check_grid(images: Volumes, file: Path, volume: MetaTensor) -> list[Finding]:
    """The first image's shape, and its corners in space: to half a voxel, or the training would see them shifted."""
    if not images:
        return []
    first_file, first = next(iter(images.items()))
    shapes = tuple(first.shape[1:]), tuple(volume.shape[1:])
    if shapes[0] != shapes[1]:
        what = f"has shape {shapes[1]}, its image {first_file} {shapes[0]}"
        return [_error(file, what, "resample it to the image's grid")]
    shift, words = grid_shift(first, volume)
    if shift <= SAME_GRID:
        return []
    what = f"{words} its image {first_file}"
    level = "warning" if shift <= WHOLE_SHIFT else "error"  # a shift of nan is an error
    return [Finding(level, str(file), what, "give it the image's spacing, origin and direction")]
