"""Labelled synthetic pelvic T2 MRI (bladder, prostate, rectum) for the default job, smoke runs and tests."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from tqdm import tqdm

from dam_components.atomic_files import write_whole
from dam_components.synthetic.pelvic_anatomy import Subject, label_organs, paint_background, paint_organs, shape_organs
from dam_components.synthetic.pelvic_canvas import Canvas
from dam_components.synthetic.pelvic_scanner import SCANNERS, acquire

__all__ = ["pelvic_spacing", "synthesize_pelvic", "write_pelvic_dataset"]

_VERSION = 1  # of the generator: a stored dataset of another version is made anew
_SHAPE = (256, 256, 120)
_VIEW_MM = ((160.0, 256.0), (160.0, 256.0), (96.0, 192.0))  # least that holds the anatomy, most that is imaged
_LABELS = {"0": "background", "1": "bladder", "2": "prostate", "3": "rectum"}


def pelvic_spacing(shape: Sequence[int]) -> tuple[float, float, float]:
    """Voxel size in mm at which a volume of ``shape`` shows the pelvis.

    The field of view is that of 1 mm voxels, but no smaller than 160 x 160 x 96 mm and no larger than
    256 x 256 x 192 mm.

    Example:
        >>> pelvic_spacing((256, 256, 120)), pelvic_spacing((32, 32, 16))
        ((1.0, 1.0, 1.0), (5.0, 5.0, 6.0))
    """
    x, y, z = (min(max(float(n), low), high) / n for n, (low, high) in zip(shape, _VIEW_MM, strict=True))
    return x, y, z


def synthesize_pelvic(
    seed: int | Sequence[int], shape: Sequence[int] = _SHAPE, spacing: Sequence[float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One synthetic T2 volume of a male pelvis and its labels.

    Organs are superellipsoids and a curved tube with low-frequency perturbations; size, place and form vary by
    subject. One of two scanners images the subject: they differ in contrast, intensity range, bias field and Rician
    noise. The prostate's border fades towards apex and base. The same seed is the same subject on the same scanner
    at any shape and spacing; only the noise is drawn per voxel.

    Args:
        seed: what the volume is a function of; several integers are mixed, as in ``numpy.random.SeedSequence``.
        shape: voxels along x (to the right), y (to the front) and z (to the head), at least 16 x 16 x 8.
        spacing: voxel size in mm; by default ``pelvic_spacing(shape)``.

    Returns:
        The image, float32, in a scanner's arbitrary units, and the labels, uint8: 1 bladder, 2 prostate, 3 rectum.

    Raises:
        ValueError: when shape or spacing are not three numbers, or the field of view is too small for the anatomy.

    Example:
        >>> image, label = synthesize_pelvic(0, (32, 32, 16))
        >>> image.shape, sorted(set(label.ravel().tolist()))
        ((32, 32, 16), [0, 1, 2, 3])
    """
    shape, spacing = _check_grid(shape, spacing)
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    streams = np.random.SeedSequence(seed).spawn(3)
    anatomy, acquisition, noise = (np.random.default_rng(stream) for stream in streams)
    scanner = SCANNERS[acquisition.integers(len(SCANNERS))]
    tissue = scanner.tissue(acquisition)

    subject = Subject.draw(anatomy)
    canvas = Canvas(axes, anatomy, tissue["air"])
    organs = shape_organs(canvas, subject, anatomy)
    paint_background(canvas, subject, tissue, anatomy)
    paint_organs(canvas, subject, organs, tissue, anatomy)
    image = acquire(canvas.image, canvas.axes, scanner, acquisition, noise)
    return image, label_organs(organs, shape)


def write_pelvic_dataset(
    folder: str | os.PathLike,
    cases: int,
    seed: int = 0,
    shape: Sequence[int] = _SHAPE,
    spacing: Sequence[float] | None = None,
) -> Path:
    """Writes synthetic volumes in the layout of the Medical Segmentation Decathlon.

    ``imagesTr/`` and ``labelsTr/`` hold ``pelvic_000.nii.gz`` and so on (int16 images, uint8 labels, RAS), and
    ``dataset.json`` what ``monai.data.load_decathlon_datalist`` reads, with the parameters under ``synthetic``. It is
    written last, so a folder that has it is complete. A complete dataset of the same parameters is left as it is,
    one of other parameters is replaced. Case i is ``synthesize_pelvic((seed, i), ...)``.

    Args:
        folder: where to write; made if missing.
        cases: how many volumes.
        seed: of the whole dataset; two seeds share no case.
        shape: see ``synthesize_pelvic``.
        spacing: see ``synthesize_pelvic``.

    Returns:
        The folder.

    Raises:
        ValueError: when ``cases`` is not positive, or the grid does not hold the anatomy.
        FileExistsError: when the folder holds another dataset.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = write_pelvic_dataset(folder, cases=1, shape=(32, 32, 16))
        ...     sorted(path.name for path in written.iterdir())
        ['dataset.json', 'imagesTr', 'labelsTr']
    """
    if cases < 1:
        raise ValueError(f"cases must be at least 1, got {cases}: ask for one volume or more.")
    shape, spacing = _check_grid(shape, spacing)
    folder = Path(folder)
    names = [f"pelvic_{index:03d}.nii.gz" for index in range(cases)]
    made_with = {"version": _VERSION, "cases": cases, "seed": seed, "shape": list(shape), "spacing": list(spacing)}
    if _is_complete(folder, names, made_with):
        return folder

    index_file = folder / "dataset.json"
    index_file.unlink(missing_ok=True)
    affine = np.diag((*spacing, 1.0))
    affine[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(shape, spacing, strict=True)]
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for stale in set((folder / part).glob("pelvic_*.nii.gz")) - {folder / part / name for name in names}:
            stale.unlink()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
        for index, name in enumerate(tqdm(names, desc=f"synthetic pelvic MRI, {folder}", unit="case")):
            image, label = synthesize_pelvic((seed, index), shape, spacing)
            for part, array in (("imagesTr", np.rint(image).astype(np.int16)), ("labelsTr", label)):
                nifti = nib.Nifti1Image(array, affine)
                nifti.header.set_xyzt_units("mm")
                nib.save(nifti, Path(partial, name))
                os.replace(Path(partial, name), folder / part / name)
        content = {
            "name": "SyntheticPelvis",
            "description": "Synthetic T2-weighted MRI of the male pelvis with bladder, prostate and rectum",
            "reference": "dam_components.synthetic.write_pelvic_dataset",
            "licence": "Apache-2.0",
            "tensorImageSize": "3D",
            "modality": {"0": "MRI"},
            "labels": _LABELS,
            "synthetic": made_with,
            "numTraining": cases,
            "numTest": 0,
            "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
            "test": [],
        }
        write_whole(index_file, json.dumps(content, indent=1) + "\n")
    return folder


def _check_grid(
    shape: Sequence[int], spacing: Sequence[float] | None
) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    if len(shape) != 3 or any(n < least for n, least in zip(shape, (16, 16, 8), strict=True)):
        raise ValueError(
            f"shape must be three voxel counts of at least (16, 16, 8), got {tuple(shape)}: try (48, 48, 24)."
        )
    x, y, z = (int(n) for n in shape)
    if spacing is None:
        return (x, y, z), pelvic_spacing((x, y, z))
    if len(spacing) != 3 or min(spacing) <= 0:
        raise ValueError(f"spacing must be three positive sizes in mm, got {tuple(spacing)}: leave it out for a fit.")
    view = tuple(round(n * float(step), 3) for n, step in zip((x, y, z), spacing, strict=True))
    least = tuple(low for low, _ in _VIEW_MM)
    if any(size < low for size, low in zip(view, least, strict=True)):
        raise ValueError(
            f"the field of view must be at least {least} mm to hold the anatomy, got {view} mm from shape {(x, y, z)} "
            f"and spacing {tuple(spacing)}: leave spacing out for a fit, or use {pelvic_spacing((x, y, z))}."
        )
    return (x, y, z), (float(spacing[0]), float(spacing[1]), float(spacing[2]))


def _is_complete(folder: Path, names: Sequence[str], made_with: Mapping[str, object]) -> bool:
    """Whether the folder holds just this dataset; raises when it holds one that this module did not write."""
    try:
        stored = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:
        stored = {}
    if not isinstance(stored, dict) or "synthetic" not in stored:
        raise FileExistsError(f"{folder} holds a dataset that is not synthetic pelvic MRI: name another folder.")
    files = (folder / part / name for part in ("imagesTr", "labelsTr") for name in names)
    return stored["synthetic"] == made_with and all(file.is_file() for file in files)
