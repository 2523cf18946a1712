"""What there is to know about one labelled case, read as the bundle reads it, and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from dam_components.data.bad_file import BadFile
from dam_components.data.dataset_layouts import CaseFiles
from dam_components.data.finding import Finding
from dam_components.metrics import largest_piece
from dam_components.planning.case_checks import check_images, check_label, check_volumes, read_volumes
from dam_components.planning.label_files import read_label

__all__ = ["SAMPLES", "CaseSurvey", "ras_axes", "survey_case"]

SAMPLES = 10_000  # voxels a case that the intensities are told from, inside and outside the structures


@dataclass
class CaseSurvey:
    """One case's numbers. Axes run to the right, the front and the head, as after the bundle's ``Orientationd``.

    ``box`` is the size of the box of the voxels that are not zero in some channel, within ``shape``.
    ``largest_piece`` is the share of each structure's voxels that lie in its largest connected piece. ``inside``
    and ``outside`` are voxels drawn from the structures and from the background, ``(channels, n)``.
    """

    name: str
    image: str
    channels: int
    shape: tuple[int, ...]
    box: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    label_voxels: dict[int, int]
    largest_piece: dict[int, float]
    inside: np.ndarray
    outside: np.ndarray
    content: str


def survey_case(
    case: CaseFiles,
    seed: int = 0,
    classes: Mapping[int, int] | None = None,
    names: Mapping[int, str] | None = None,
) -> tuple[CaseSurvey | None, list[Finding]]:
    """Reads a case and checks it; all that is wrong is listed.

    Args:
        case: its files.
        seed: of the voxels that are drawn.
        classes: of the label's values; ``None``: the values themselves.
        names: of the classes, for a label of one file a structure.

    Returns:
        The survey, or ``None`` where a file cannot be read or does not fit the other; and the findings.
    """
    images, findings = read_volumes(case.images)
    label = None
    try:
        label = read_label(case, classes, names)
    except BadFile as error:
        findings.append(Finding("error", error.file, error.what, error.remedy))
    if flat := check_volumes({**images, **({} if label is None else {case.label: label})}):
        return None, findings + flat
    findings += check_images(images, len(case.images))
    if label is not None:
        findings += check_label(case.label, label, images)
    if label is None or any(finding.level == "error" for finding in findings):
        return None, findings
    return _measure(case, [*images.values()], label, np.random.default_rng(seed)), findings


def _measure(case: CaseFiles, images: list[MetaTensor], label: MetaTensor, draw: np.random.Generator) -> CaseSurvey:
    """The numbers of a case without fault."""
    order = ras_axes(images[0])
    voxels = torch.cat([image.as_tensor() for image in images]).numpy()
    classes = np.asarray(label[0]).round().astype(np.int64)
    values, counts = np.unique(classes, return_counts=True)
    return CaseSurvey(
        name=case.name,
        image=str(case.images[0]),
        channels=len(voxels),
        shape=tuple(int(images[0].shape[1 + axis]) for axis in order),
        box=tuple(_box(voxels)[axis] for axis in order),
        spacing_mm=tuple(round(float(images[0].pixdim[axis]), 6) for axis in order),
        label_voxels={int(v): int(n) for v, n in zip(values, counts, strict=True)},
        largest_piece={int(v): _in_one_piece(classes == v) for v in values if v},
        inside=_draw(voxels, classes > 0, draw),
        outside=_draw(voxels, classes == 0, draw),
        content=hashlib.blake2b(voxels.tobytes() + repr(voxels.shape).encode(), digest_size=16).hexdigest(),
    )


def ras_axes(volume: MetaTensor) -> list[int]:
    """The file's axes in the order right, front, head."""
    axes = nib.orientations.io_orientation(np.asarray(volume.affine, float))[:, 0].astype(int)
    return [int(axis) for axis in np.argsort(axes)]


def _box(voxels: np.ndarray) -> tuple[int, ...]:
    """Size of the box of the voxels that are not zero, ``(channels, ...)``, in the file's axes."""
    filled = np.asarray(voxels.any(0))
    lines = [filled.any(tuple(other for other in range(filled.ndim) if other != axis)) for axis in range(filled.ndim)]
    return tuple(int(np.ptp(np.flatnonzero(line))) + 1 if line.any() else 0 for line in lines)


def _in_one_piece(mask: np.ndarray) -> float:
    """The share of a mask's voxels that lie in its largest piece."""
    return float(np.count_nonzero(largest_piece(mask)) / np.count_nonzero(mask))


def _draw(image: np.ndarray, mask: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    places = np.flatnonzero(mask)
    if len(places) > SAMPLES:
        places = draw.choice(places, SAMPLES, replace=False)
    return image.reshape(len(image), -1)[:, places]
