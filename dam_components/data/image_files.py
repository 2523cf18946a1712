"""Reading an image file that may be damaged: its header and checksum first, its voxels only when both hold."""

from __future__ import annotations

import gzip
import logging
import math
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from monai.data import ITKReader, MetaTensor, NibabelReader
from monai.transforms import EnsureChannelFirst, LoadImage

from dam_components.atomic_files import lacks_itk
from dam_components.data.bad_file import BadFile
from dam_components.data.dicom_series import check_dicom_series
from dam_components.data.itk_headers import check_itk_file
from dam_components.errors import first_line

__all__ = [
    "VolumeReader",
    "check_image_file",
    "check_size_of_values",
    "frames_in_time",
    "put_readers",
    "quiet_readers",
    "read_volume",
    "unreadable",
    "volume_loader",
]

FETCH = "fetch it again"
NIFTI = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
STEP = 1 << 20
FAR_MM = 1e5
LARGEST = 1e9  # of a voxel; a number type or a slope that was damaged gives more
SPACING_MM = (1e-3, 1e3)  # a voxel outside this is one in metres, micrometres or nothing at all
SPACE_UNITS = {"unknown", "mm"}
TIME_UNITS = {"sec", "msec", "usec"}


def check_image_file(path: str | os.PathLike) -> None:
    """Checks a file before its voxels are read: that it is whole, and that its header can be true.

    The checksum of compressed NIfTI is compared, which nibabel does not do, and the size that a header claims with
    the file's, so that a damaged header takes no memory.

    Args:
        path: an image, or the folder of a DICOM series.

    Raises:
        BadFile: a ``ValueError`` in one line: the file, what is wrong, what to do.
    """
    file = Path(path)
    if lacks_itk(file):
        what = "is a DICOM series" if file.is_dir() else f"is a {file.suffix} file"
        raise BadFile(file, f"{what}, which MONAI reads with ITK", "pip install itk-io")
    if not file.exists():
        raise BadFile(file, "does not exist", "fetch it, or correct its name")
    if file.is_dir():
        check_dicom_series(file)
    elif file.name.lower().endswith(NIFTI):
        check_nifti(file)
    else:
        check_itk_file(file)


def check_nifti(file: Path) -> None:
    """NIfTI, one file or a pair, and Analyze."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Any = nib.load(file)
            shape, kind, affine = image.shape, image.header.get_data_dtype(), np.asarray(image.affine, float)
            begin = int(image.dataobj.offset)
    except Exception as error:  # a damaged header fails in as many ways as it can be damaged
        reason = first_line(error)
        raise BadFile(file, f"cannot be read ({reason})", f"it is cut short or no image: {FETCH}") from None
    if min(shape, default=0) < 1:
        raise BadFile(file, f"holds no voxel: its shape is {shape}", FETCH)
    if kind.fields or kind.kind == "c":
        what = "colours" if kind.fields else "complex numbers"
        raise BadFile(file, f"holds {what}", "write one number a voxel")
    voxels = Path(image.file_map["image"].filename or file)
    _compare_sizes(voxels, begin + math.prod(shape) * kind.itemsize)
    for other in {Path(holder.filename) for holder in image.file_map.values() if holder.filename} - {voxels}:
        _compare_sizes(other, None)
    check_place(file, affine)
    _check_units(file, image)


def check_place(file: Path, affine: np.ndarray) -> None:
    """Whether the affine gives each voxel a place and a size."""
    with np.errstate(all="ignore"):
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        flat = not abs(np.linalg.det(affine[:3, :3] / spacing)) > 1e-3
    if not np.isfinite(affine).all() or not spacing.all() or flat:
        raise BadFile(file, "has an affine that places no voxel", "set spacing and direction")
    low, high = SPACING_MM
    if not ((spacing >= low) & (spacing <= high)).all():
        sizes = " x ".join(f"{size:.4g}" for size in spacing)
        raise BadFile(file, f"has voxels of {sizes} mm", "set the spacing in millimetres")
    if (away := float(np.abs(affine[:3, 3]).max())) > FAR_MM:
        raise BadFile(file, f"lies {away:.3g} mm away from its origin", "set its origin in millimetres")


def check_size_of_values(file: str | os.PathLike, voxels: torch.Tensor) -> None:
    """Refuses finite voxels that no scanner writes.

    Raises:
        BadFile: one is beyond 1e9.
    """
    largest = float(voxels.abs().max())
    if LARGEST < largest < math.inf:
        what = f"holds voxels of {largest:.3g}"
        raise BadFile(file, what, "its number type or its slope (scl_slope) is damaged: export it again")


def _check_units(file: Path, image: Any) -> None:
    """Lengths in millimetres, and a fourth axis that is not time."""
    if not hasattr(image.header, "get_xyzt_units"):  # Analyze
        return
    try:
        space, time = image.header.get_xyzt_units()
    except KeyError:
        raise BadFile(file, "names a unit that NIfTI does not have", "set xyzt_units to millimetres") from None
    if space not in SPACE_UNITS:
        raise BadFile(file, f"measures in {space}s", "write its spacing in millimetres")
    said = np.abs(np.asarray(image.header["pixdim"][1:4], float))[: len(image.shape)]
    placed = np.linalg.norm(np.asarray(image.affine, float)[:3, : len(said)], axis=0)
    if not np.allclose(said, placed, rtol=0.01):  # MONAI would believe pixdim, other programs the affine
        sizes = [" x ".join(f"{size:.4g}" for size in each) for each in (said, placed)]
        raise BadFile(file, f"has voxels of {sizes[0]} mm in pixdim and {sizes[1]} mm in its affine", "set both alike")
    frames = math.prod(image.shape[3:])
    step = float(image.header["pixdim"][4])
    if frames > 1 and time in TIME_UNITS and step not in (0, 1):
        raise BadFile(
            file,
            f"holds {frames} frames in time, {step:.4g} {time} apart, and no channels",
            "write each frame as a file; if they are channels, set pixdim[4] to 1",
        )


def frames_in_time(path: str | os.PathLike) -> str | None:
    """What a NIfTI header says of a fourth axis that it measures in seconds: "12 volumes, 1 sec apart".

    A step of 1 s is what ITK writes for channels, and what some scanners write for a film. The file does not say which.

    Args:
        path: a NIfTI image that can be read; ``None`` for any other.
    """
    if not str(path).lower().endswith(NIFTI):
        return None
    image: Any = nib.load(path)
    frames = math.prod(image.shape[3:])
    if frames < 2 or not hasattr(image.header, "get_xyzt_units"):
        return None
    unit = image.header.get_xyzt_units()[1]
    return f"{frames} volumes, {float(image.header['pixdim'][4]):.4g} {unit} apart" if unit in TIME_UNITS else None


def _compare_sizes(file: Path, expected: int | None) -> None:
    """The file's bytes, uncompressed, against those of its header; the checksum of a compressed file on the way."""
    found = 0
    try:
        with (gzip.open if file.name.lower().endswith(".gz") else open)(file, "rb") as stream:
            while block := stream.read(STEP):
                found += len(block)
                if expected is not None and found > expected:
                    break
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
        what = "is cut short" if isinstance(error, EOFError) else f"is damaged ({error})"
        raise BadFile(file, f"cannot be read: it {what}", FETCH) from None
    if expected is not None and found != expected:
        holds = f"holds {found} bytes" if found < expected else f"holds more than {expected} bytes"
        raise BadFile(file, f"{holds}, its header claims {expected}", f"it is damaged: {FETCH}")


class VolumeReader(NibabelReader):
    """MONAI's reader, also for pairs (``.hdr``, ``.img``), and without axes of length 1 behind the three of space."""

    def __init__(self) -> None:
        super().__init__(squeeze_non_spatial_dims=True)

    def verify_suffix(self, filename: Sequence[Any] | Any) -> bool:
        """Whether all files have an ending that this reader knows."""
        names = [filename] if isinstance(filename, (str, os.PathLike)) else filename
        return all(str(name).lower().endswith(NIFTI) for name in names)


class _AnyNumberReader(ITKReader):
    """MONAI's reader, also for numbers that ITK's Python has no images of (int8, int64): they become floats."""

    def read(self, data: Any, **options: Any) -> Any:
        import itk

        return super().read(data, pixel_type=itk.F, fallback_only=True, **options)


@contextmanager
def quiet_readers() -> Iterator[None]:
    """MONAI warns of a decoder for GPUs whenever it makes its readers beside pydicom; not in this block."""
    plugin = logging.getLogger("monai.data.nvimgcodec_pydicom_plugin")
    level = plugin.level
    plugin.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
            yield
    finally:
        plugin.setLevel(level)


def volume_loader(**options: Any) -> LoadImage:
    """MONAI's ``LoadImage`` with this module's readers."""
    with quiet_readers():
        loader = LoadImage(**options)
    put_readers(loader)
    return loader


def put_readers(loader: LoadImage) -> None:
    """:class:`VolumeReader`, and for other files ITK's with numbers of any size, in front of MONAI's own readers."""
    if not lacks_itk("image.mha"):
        loader.register(_AnyNumberReader())
    loader.register(VolumeReader())


def read_volume(path: str | os.PathLike) -> MetaTensor:
    """A checked file, channel first, as float32.

    Raises:
        BadFile: the file is damaged, or has no image in it.
    """
    check_image_file(path)
    try:
        volume = cast(MetaTensor, EnsureChannelFirst()(volume_loader(image_only=True)(str(path))))
    except Exception as error:
        raise unreadable(path, error) from None
    check_place(Path(path), np.asarray(volume.affine, float))
    check_size_of_values(path, volume.as_tensor())
    return volume


def unreadable(path: str | os.PathLike, error: Exception) -> BadFile:
    """What a reader said of a file, in one line."""
    reason = first_line(error.__cause__ or error)
    return BadFile(path, f"cannot be read ({reason.rstrip(':. ')})", f"it is missing, cut short or no image: {FETCH}")
