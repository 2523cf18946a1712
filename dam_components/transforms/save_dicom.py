"""A segmentation and its confidence map as DICOM, for cases that came as a DICOM series."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import optional_import

from dam_components.atomic_files import whole_file
from dam_components.transforms.case_report import case_file

__all__ = ["SaveDicomd", "series_frames", "write_parametric_map", "write_segmentation"]

pydicom, HAS_PYDICOM = optional_import("pydicom")
highdicom, HAS_HIGHDICOM = optional_import("highdicom")
logger = logging.getLogger(__name__)

ON_GRID_MM = 0.01
MAKER = "dam-components"
STRUCTURES = (900, "123037004", "Anatomical Structure")  # number of the series, SNOMED CT's code of the segments' kind
DOUBT = (902, "309825002", "Spatial and Relational Concept")


class SaveDicomd(MapTransform):
    """Writes ``<case>_seg.dcm`` (DICOM SEG) and ``<case>_confidence.dcm`` (parametric map, M in 0..1) beside NIfTI.

    Many viewers show no parametric maps: for them ``<case>_doubt.dcm`` is a DICOM SEG of the voxels that D doubts most.
    All refer to the slices of the series and share its frame of reference, and a viewer lays them over it. A case that
    is no DICOM series passes untouched. Without highdicom (extra ``dicom``) the log says that they are left out.

    Args:
        keys: the segmentation as class indices, ``(1, ...)``, and M, ``(1, ...)``, in the image's own space.
        label_names: name of each class by its index.
        output_dir: where to; ``None``: nowhere.
        image_key: the image, whose metadata name the series' folder.
        server_key: data with this key are a server's and leave no files; ``None``: always write.
        doubt_above: 1 - M from which on a voxel is in ``<case>_doubt.dcm``.

    Raises:
        ValueError: not two keys; a threshold outside 0..1; the segmentation does not lie on the slices.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_names: Mapping[Any, str],
        output_dir: str | os.PathLike | None,
        image_key: str = "image",
        server_key: str | None = "image_path",
        doubt_above: float = 0.5,
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 2:
            raise ValueError(f"keys must name the segmentation and the confidence map, got {list(self.keys)}")
        if not 0 <= doubt_above < 1:
            raise ValueError(f"doubt_above must be in 0..1, got {doubt_above}")
        self.doubt_above = doubt_above
        self.label_names = {int(index): name for index, name in label_names.items()}
        self.output_dir = output_dir
        self.image_key = image_key
        self.server_key = server_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        source = getattr(data.get(self.image_key), "meta", {}).get("filename_or_obj")
        served = self.server_key is not None and self.server_key in data
        if self.output_dir is None or served or source is None or not Path(str(source)).is_dir():
            return dict(data)
        if not HAS_HIGHDICOM:
            logger.warning("no DICOM SEG is written: pip install 'dam-components[dicom]'")
            return dict(data)
        segmentation, confidence = (data[key] for key in self.keys)
        logging.getLogger("highdicom").setLevel(logging.WARNING)  # it tells of every module that it copies
        kinds = ("seg", "confidence", "doubt")
        seg, map_file, doubt = (case_file(data[self.image_key], self.output_dir, kind, ".dcm")[0] for kind in kinds)
        try:
            slices, classes = series_frames(Path(str(source)), segmentation)
            _, map_ = series_frames(Path(str(source)), confidence)
            doubted = (1 - map_ > self.doubt_above).astype(np.uint8)
            write_segmentation(seg, slices, classes.round().astype(np.uint16), self.label_names)
            write_parametric_map(map_file, slices, map_.astype(np.float32))
            write_segmentation(doubt, slices, doubted, {1: f"doubt above {self.doubt_above:g}"}, DOUBT)
        except AttributeError as error:  # of pydicom: a tag that the standard demands and the series lacks
            logger.warning("no DICOM SEG for %s, whose headers are incomplete: %s", source, error)
        except ValueError as error:  # the NIfTI files, the report and the picture of the case come all the same
            logger.warning("no DICOM SEG for %s: %s", source, error)
        return dict(data)


def series_frames(folder: Path, volume: MetaTensor) -> tuple[list[Any], np.ndarray]:
    """The slices of a series in the order of a volume's last axis, and the volume as frames of rows and columns.

    Args:
        folder: of the series.
        volume: ``(1, columns, rows, slices)``, as ITK reads the series, with its affine.

    Returns:
        The headers with pixels left out, and an array ``(slices, rows, columns)``.

    Raises:
        ValueError: a slice does not lie on the volume's grid.
    """
    headers = []
    for file in sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")):
        try:
            headers.append(pydicom.dcmread(file))
        except pydicom.errors.InvalidDicomError:
            continue
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(volume.affine, float)  # RAS to DICOM's LPS
    placed: dict[int, Any] = {}
    for header in headers:
        number = np.linalg.solve(affine, [*map(float, header.ImagePositionPatient), 1.0])[:3]
        off = affine[:3, :3] @ (number - np.array([0, 0, round(number[2])]))
        if np.linalg.norm(off) > ON_GRID_MM or not 0 <= round(number[2]) < volume.shape[-1]:
            raise ValueError(f"a slice of {folder} lies {np.linalg.norm(off):.3g} mm beside the segmentation's grid")
        placed[round(number[2])] = header
    frames = np.asarray(volume.as_tensor()[0].detach().cpu()).transpose(2, 1, 0)
    order = sorted(placed)
    return [placed[number] for number in order], frames[order]


def write_segmentation(
    file: Path,
    slices: Sequence[Any],
    classes: np.ndarray,
    names: Mapping[int, str],
    kind: tuple[int, str, str] = STRUCTURES,
) -> Path:
    """DICOM SEG, a segment a structure.

    Args:
        file: where to.
        slices: headers of the series, in the order of the frames.
        classes: indices, ``(slices, rows, columns)``.
        names: of the structures, by index.
        kind: number of the series, and code and meaning of what the segments are.
    """
    series_number, category, meaning = kind
    code = highdicom.sr.CodedConcept
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=MAKER, version=_version(), family=code("123109", "DCM", "Artificial Intelligence")
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=index,
            segment_label=name[:64],
            segmented_property_category=code(category, "SCT", meaning),
            segmented_property_type=code(f"{index}", "99DAM", name[:64]),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for index, name in sorted(names.items())
    ]
    masks = np.stack([classes == index for index in sorted(names)], -1).astype(np.uint8)
    written = highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=masks,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        omit_empty_frames=False,
        **_identity(series_number),
    )
    return _save(written, file)


def write_parametric_map(file: Path, slices: Sequence[Any], confidence: np.ndarray) -> Path:
    """A DICOM parametric map of M, 32 bits a voxel.

    Args:
        file: where to.
        slices: headers of the series, in the order of the frames.
        confidence: M in 0..1, ``(slices, rows, columns)``.
    """
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label="confidence",
        lut_explanation="probability that the segmentation is right",
        unit=highdicom.sr.CodedConcept("1", "UCUM", "no units"),
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
    )
    written = highdicom.pm.ParametricMap(
        source_images=slices,
        pixel_array=confidence,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        window_center=0.5,
        window_width=1.0,
        **_identity(901),
    )
    return _save(written, file)


def _identity(series_number: int) -> dict[str, Any]:
    return {
        "series_instance_uid": highdicom.UID(),
        "series_number": series_number,
        "sop_instance_uid": highdicom.UID(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": _version(),
        "device_serial_number": "1",
    }


def _version() -> str:
    try:
        return version(MAKER)
    except PackageNotFoundError:
        return "source"


def _save(written: Any, file: Path) -> Path:
    with whole_file(file) as temporary:
        written.save_as(temporary)
    return file
