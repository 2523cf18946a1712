"""What can be wrong with the files of one labelled case."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirst, LoadImage

from dam_components.atomic_files import lacks_itk
from dam_components.data.finding import Finding

__all__ = ["check_images", "check_label", "check_volumes", "corner_shift_mm", "read_volumes"]

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
        if lacks_itk(file):
            what = "is a DICOM series" if file.is_dir() else f"is a {file.suffix} file"
            findings.append(_error(file, f"{what}, which MONAI reads with ITK", "pip install itk-io"))
            continue
        try:
            volumes[file], several_series = _read(file)
        except Exception as error:
            remedy = "it is missing, cut short or no image: fetch it again"
            findings.append(_error(file, f"cannot be read ({_reason(error)})", remedy))
            continue
        if several_series:
            findings.append(_error(file, "holds several DICOM series", "give each a folder of its own"))
        if volumes[file].ndim == 4 and not _has_a_place(volumes[file]):
            findings.append(_error(file, "has an affine that places no voxel", "set spacing and direction"))
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
    values = np.unique(np.asarray(label[:1])).tolist()
    if wrong := [v for v in values if not (v >= 0 and v == int(v))]:  # nan is wrong too
        findings.append(
            _error(file, f"holds the label {wrong[0]:g}", "labels must be whole numbers from 0: relabel it")
        )
    elif values == [0]:
        findings.append(Finding("warning", str(file), "is all background", "check that this is meant"))
    return findings + _check_grid(images, file, label)


def corner_shift_mm(first: MetaTensor, second: MetaTensor) -> float:
    """How far the corners of two volumes of one shape lie apart at most, in mm.

    Example:
        >>> wide = torch.diag(torch.tensor([2.0, 1.0, 1.0, 1.0]))
        >>> corner_shift_mm(MetaTensor(torch.zeros(1, 4, 4, 4)), MetaTensor(torch.zeros(1, 4, 4, 4), affine=wide))
        3.0
    """
    corners = np.array([[*corner, 1] for corner in product(*((0, n - 1) for n in first.shape[1:]))], float).T
    difference = (np.asarray(first.affine, float) - np.asarray(second.affine, float)) @ corners
    return float(np.linalg.norm(difference[:3], axis=0).max())


def _error(where: Path, what: str, remedy: str) -> Finding:
    return Finding("error", str(where), what, remedy)


def _read(file: Path) -> tuple[MetaTensor, bool]:
    """The volume, and whether its folder held more DICOM series than the one that was read."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        volume = cast(MetaTensor, EnsureChannelFirst()(LoadImage(image_only=True)(str(file))))
    return volume, any("more than one DICOM series" in str(warning.message) for warning in caught)


def _reason(error: Exception) -> str:
    """The first line of what a library says."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0].rstrip(":. ") if lines else type(error).__name__


def _has_a_place(volume: MetaTensor) -> bool:
    affine = np.asarray(volume.affine, float)
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-9)


def _check_grid(images: Volumes, file: Path, volume: MetaTensor) -> list[Finding]:
    """The first image's shape, and its corners in space: to half a voxel, or the training would see them shifted."""
    if not images:
        return []
    first_file, first = next(iter(images.items()))
    shapes = tuple(first.shape[1:]), tuple(volume.shape[1:])
    if shapes[0] != shapes[1]:
        what = f"has shape {shapes[1]}, its image {first_file} {shapes[0]}"
        return [_error(file, what, "resample it to the image's grid")]
    shift, voxel = corner_shift_mm(first, volume), float(first.pixdim.min())
    if shift <= 0.01 * voxel:
        return []
    what = f"lies up to {shift:.3g} mm beside its image {first_file}"
    level = "warning" if shift <= 0.5 * voxel else "error"  # a shift of nan is an error
    return [Finding(level, str(file), what, "give it the image's spacing, origin and direction")]
