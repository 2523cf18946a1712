"""What there is to know about one labelled case, read as the bundle reads it, and what is wrong with it."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirst, LoadImage

from dam_components.atomic_files import lacks_itk
from dam_components.data.dataset_layouts import CaseFiles
from dam_components.data.finding import Finding
from dam_components.metrics import largest_piece

__all__ = ["SAMPLES", "CaseSurvey", "corner_shift_mm", "survey_case"]

SAMPLES = 10_000  # voxels a case that the intensities are told from, inside and outside the structures


@dataclass
class CaseSurvey:
    """One case's numbers. Axes run to the right, the front and the head, as after the bundle's ``Orientationd``.

    ``largest_piece`` is the share of each structure's voxels that lie in its largest connected piece. ``inside`` and
    ``outside`` are voxels drawn from the structures and from the background, ``(channels, n)``.
    """

    name: str
    image: str
    channels: int
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    label_voxels: dict[int, int]
    largest_piece: dict[int, float]
    inside: np.ndarray
    outside: np.ndarray
    content: str


def survey_case(case: CaseFiles, seed: int = 0) -> tuple[CaseSurvey | None, list[Finding]]:
    """Reads a case and checks it; all that is wrong is listed.

    Args:
        case: its files.
        seed: of the voxels that are drawn.

    Returns:
        The survey, or ``None`` where a file cannot be read or does not fit the other; and the findings.
    """
    findings: list[Finding] = []

    def error(where: object, what: str, remedy: str) -> None:
        findings.append(Finding("error", str(where), what, remedy))

    parts = [_read(file, findings) for file in case.images]
    label = _read(case.label, findings)
    images = [part for part in parts if part is not None]
    for file, part in zip((*case.images, case.label), (*parts, label), strict=True):
        if part is not None and part.ndim != 4:
            error(file, f"has {part.ndim - 1} dimensions", "the bundle segments volumes: give it 3")
            return None, findings
    for file, part in zip(case.images[1:], images[1:], strict=False):
        _check_grid(images[0], part, case.images[0], file, findings)
    for file, part in zip(case.images, parts, strict=True):
        if part is not None and len(parts) > 1 and len(part) != 1:
            error(file, f"has {len(part)} channels and is one of several files", "write a file for each channel")
        if part is not None and not torch.isfinite(part).all():
            error(file, "holds NaN or infinite voxels", "replace them")
    values = None
    if label is not None:
        if len(label) != 1:
            error(case.label, f"has {len(label)} channels", "write one channel of class indices")
        values, counts = np.unique(np.asarray(label[:1]), return_counts=True)
        if wrong := [v for v in values.tolist() if not (v >= 0 and v == int(v))]:  # nan is wrong too
            error(case.label, f"holds the label {wrong[0]:g}", "labels must be whole numbers from 0: relabel it")
        elif values.tolist() == [0]:
            findings.append(Finding("warning", str(case.label), "is all background", "check that this is meant"))
        if images:
            _check_grid(images[0], label, case.images[0], case.label, findings)
    if any(finding.level == "error" for finding in findings) or label is None or values is None:
        return None, findings
    image = torch.cat([part.as_tensor() for part in images])
    shape, spacing = _in_ras(images[0])
    foreground = np.asarray(label[0]) > 0
    draw = np.random.default_rng(seed)
    voxels = image.numpy()
    return CaseSurvey(
        name=case.name,
        image=str(case.images[0]),
        channels=len(image),
        shape=shape,
        spacing_mm=spacing,
        label_voxels={int(v): int(n) for v, n in zip(values, counts, strict=True)},
        largest_piece={int(v): _in_one_piece(np.asarray(label[0]) == v) for v in values if v > 0},
        inside=_draw(voxels, foreground, draw),
        outside=_draw(voxels, ~foreground, draw),
        content=hashlib.blake2b(voxels.tobytes() + repr(voxels.shape).encode(), digest_size=16).hexdigest(),
    ), findings


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


def _read(file: Path, findings: list[Finding]) -> MetaTensor | None:
    """The file channel first, as float32; or ``None``, with the reason among the findings."""
    if lacks_itk(file):
        what = "is a DICOM series" if file.is_dir() else f"is a {file.suffix} file"
        findings.append(Finding("error", str(file), f"{what}, which MONAI reads with ITK", "pip install itk-io"))
        return None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            volume = cast(MetaTensor, EnsureChannelFirst()(LoadImage(image_only=True)(str(file))))
    except Exception as error:
        lines = str(error.__cause__ or error).strip().splitlines()
        reason = lines[0].rstrip(":. ") if lines else type(error).__name__
        remedy = "it is missing, cut short or no image: fetch it again"
        findings.append(Finding("error", str(file), f"cannot be read ({reason})", remedy))
        return None
    if any("more than one DICOM series" in str(warning.message) for warning in caught):
        findings.append(Finding("error", str(file), "holds several DICOM series", "give each a folder of its own"))
    affine = np.asarray(volume.affine, float)
    if volume.ndim == 4 and not (np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-9):
        findings.append(Finding("error", str(file), "has an affine that places no voxel", "set spacing and direction"))
    return volume


def _check_grid(first: MetaTensor, second: MetaTensor, first_file: Path, file: Path, findings: list[Finding]) -> None:
    """One shape, and one place of the corners in space: to half a voxel, or the training would see them shifted."""
    shapes = tuple(first.shape[1:]), tuple(second.shape[1:])
    if shapes[0] != shapes[1]:
        what = f"has shape {shapes[1]}, its image {first_file} {shapes[0]}"
        findings.append(Finding("error", str(file), what, "resample it to the image's grid"))
        return
    shift, voxel = corner_shift_mm(first, second), float(first.pixdim.min())
    if not shift <= 0.01 * voxel:
        what = f"lies up to {shift:.3g} mm beside its image {first_file}"
        level = "warning" if shift <= 0.5 * voxel else "error"
        findings.append(Finding(level, str(file), what, "give it the image's spacing, origin and direction"))


def _in_ras(volume: MetaTensor) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape and spacing in mm with the axes in the order right, front, head."""
    axes = nib.orientations.io_orientation(np.asarray(volume.affine, float))[:, 0].astype(int)
    order = np.argsort(axes)
    spacing = np.asarray(volume.pixdim, float)
    return tuple(int(volume.shape[1 + a]) for a in order), tuple(round(float(spacing[a]), 6) for a in order)


def _in_one_piece(mask: np.ndarray) -> float:
    """The share of a mask's voxels that lie in its largest piece."""
    return float(np.count_nonzero(largest_piece(mask)) / np.count_nonzero(mask))


def _draw(image: np.ndarray, mask: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    places = np.flatnonzero(mask)
    if len(places) > SAMPLES:
        places = draw.choice(places, SAMPLES, replace=False)
    return image.reshape(len(image), -1)[:, places]
