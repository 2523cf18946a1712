"""A folder of a DICOM series, checked by its headers: one series, one slice a place, none missing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import optional_import

from dam_components.data.bad_file import BadFile
from dam_components.errors import first_line

__all__ = ["check_dicom_series", "is_dicom_series", "read_headers"]

pydicom, HAS_PYDICOM = optional_import("pydicom")
UNEVEN = 0.01  # of a step between slices: rounding of positions
TAGS = (
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
)


def is_dicom_series(folder: Path) -> bool:
    """Whether a file of the folder says that it is DICOM: four letters after 128 bytes."""
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith(".") and file.name != "DICOMDIR":
            with open(file, "rb") as stream:
                if stream.read(132)[128:] == b"DICM":
                    return True
    return False


def read_headers(folder: Path, tags: tuple[str, ...] = TAGS) -> list[tuple[Path, Any]]:
    """The files of a folder that are DICOM, with these entries of their headers.

    Raises:
        BadFile: pydicom is missing, a header is damaged, or no file is DICOM.
    """
    if not HAS_PYDICOM:
        raise BadFile(folder, "is a DICOM series, whose headers pydicom reads", "pip install 'dam-components[dicom]'")
    found = []
    for file in sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")):
        if file.name == "DICOMDIR":
            continue
        try:
            found.append((file, pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(tags))))
        except pydicom.errors.InvalidDicomError:
            continue  # a text or a picture beside the slices
        except Exception as error:
            raise BadFile(file, f"cannot be read ({error})", "it is damaged: fetch it again") from None
    if not found:
        raise BadFile(folder, "holds no DICOM file", "name the folder of the slices themselves")
    return found


def check_dicom_series(folder: Path) -> None:
    """Checks that the slices of a folder make one volume.

    Raises:
        BadFile: several series, a slice that is missing, doubled, of another size or tilted, or without a place.
    """
    headers = read_headers(folder)
    for file, _ in headers:
        _check_pixels(file)
    series = {header.get("SeriesInstanceUID") for _, header in headers}
    if len(series) > 1:
        raise BadFile(folder, f"holds {len(series)} DICOM series", "give each a folder of its own")
    if len(headers) == 1 and int(headers[0][1].get("NumberOfFrames") or 1) > 1:
        return  # an enhanced file holds a whole volume
    for name, what in (("Rows", "heights"), ("Columns", "widths"), ("PixelSpacing", "pixel sizes")):
        if len({str(header.get(name)) for _, header in headers}) > 1:
            raise BadFile(folder, f"holds slices of several {what}", "take the odd ones out (localisers, for example)")
    _check_positions(folder, headers)


def _check_pixels(file: Path) -> None:
    """ITK fills a slice that was cut short with zeros. Compressed slices are left to their decoder."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(file)
            held = len(header.PixelData)
            packed = header.file_meta.TransferSyntaxUID.is_compressed
    except Exception as error:
        reason = first_line(error)
        raise BadFile(file, f"cannot be read ({reason})", "it is damaged: fetch it again") from None
    claimed = int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8
    claimed *= int(header.get("SamplesPerPixel") or 1) * int(header.get("NumberOfFrames") or 1)
    if not packed and held < claimed:
        what = f"cannot be read: it holds {held} bytes of pixels, its header claims {claimed}"
        raise BadFile(file, what, "it is cut short: fetch it again")


def _check_positions(folder: Path, headers: list[tuple[Path, Any]]) -> None:
    for file, header in headers:
        if header.get("ImagePositionPatient") is None or header.get("ImageOrientationPatient") is None:
            raise BadFile(file, "does not say where it lies (ImagePositionPatient)", "export it again with its header")
    turned = np.array([header.ImageOrientationPatient for _, header in headers], float)
    if np.abs(turned - turned[0]).max() > 1e-3:
        raise BadFile(folder, "holds slices of several directions", "give each direction a folder of its own")
    normal = np.cross(turned[0, :3], turned[0, 3:])
    places = np.array([header.ImagePositionPatient for _, header in headers], float)
    heights = np.sort(places @ normal)
    steps = np.diff(heights)
    if not len(steps):
        return
    middle = float(np.median(steps))
    if (steps < UNEVEN * max(middle, 1e-6)).any():
        many = int((steps < UNEVEN * max(middle, 1e-6)).sum())
        what = f"holds {many} slices at the place of another"
        raise BadFile(folder, what, "if it is a series in time, keep one frame")
    if (steps > 1.5 * middle).any():
        raise BadFile(
            folder, f"lacks slices: a step is {steps.max():.4g} mm, the others {middle:.4g}", "fetch the rest"
        )
    if (np.abs(steps - middle) > UNEVEN * middle).any():
        raise BadFile(folder, f"has steps of {steps.min():.4g} to {steps.max():.4g} mm", "resample it to even steps")
    across = places - np.outer(places @ normal, normal)
    if np.abs(across - across[0]).max() > 0.5:
        raise BadFile(folder, "has slices that are shifted against each other (a tilted gantry)", "resample it")
