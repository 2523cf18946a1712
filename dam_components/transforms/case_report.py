"""The numbers of a case that a person acts on: volumes, confidence, predicted Dice, and whether to look at it."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from dam_components import __version__
from dam_components.data.case_reports import case_confidence
from dam_components.data.dataset_layouts import name_from_meta
from dam_components.metrics import DiceCalibration, predicted_dice, structure_zone
from dam_components.metrics.training_range import ImageNumbers
from dam_components.plain_tensor import plain
from dam_components.transforms.case_networks import describe_networks, fitting_calibration
from dam_components.transforms.review_reasons import REASONS, check_reasons, structure_reasons
from dam_components.transforms.slabwise import class_map, slabs
from dam_components.transforms.write_report import write_report

__all__ = ["CaseReportd", "case_quality"]

NUMBERS = ("mean_confidence", "predicted_dice", "predicted_dice_low", "predicted_dice_high")  # of a structure


def case_quality(
    probabilities: torch.Tensor,
    confidence: torch.Tensor,
    spacing_mm: Sequence[float],
    label_names: Mapping[int, str],
    calibration: DiceCalibration | None = None,
    review_below: float = 0.8,
    band_mm: float = 3.0,
    review_for: Sequence[str] = tuple(REASONS),
    image: ImageNumbers | None = None,
) -> dict[str, Any]:
    """What can be said of a segmentation without a label.

    The segmentation is the argmax of the probabilities. Of each class: its volume; the mean of M over its
    :func:`~dam_components.metrics.structure_zone`; :func:`~dam_components.metrics.predicted_dice`, calibrated where
    there is a calibration, with the ends of its interval (``None`` without a calibration).

    The case is for review for any of the reasons in ``review_for``, of
    :data:`~dam_components.transforms.review_reasons.REASONS`. Those about training (``pieces``, ``volume``, ``image``)
    need a calibration that holds the :class:`~dam_components.metrics.training_range.TrainingRange`. (The lower end of a
    90 % interval, which also covers bad images, would send most good cases to review.)

    A class that S predicts nowhere has volume 0, and ``None`` for mean confidence, predicted Dice and interval: its
    Dice can only be 0 or 1, and a person must say which. ``predicted_mean_dice`` is the mean over the classes that are
    there, ``None`` if none is; ``predicted_mean_of`` names them. Cases are ordered by ``case_confidence``
    (:func:`~dam_components.data.case_confidence`), in which an absent class counts 0: an all-background segmentation
    comes first.

    Args:
        probabilities: (C, ...), in the image's own space.
        confidence: M, (1, ...), likewise.
        spacing_mm: size of a voxel along each axis.
        label_names: name of each class 1..C-1.
        calibration: for C-1 classes; ``None``: the raw predicted Dice.
        review_below: the predicted Dice of a class below which a person should look; raise it to see more cases.
        band_mm: how far round a structure its mean confidence looks.
        review_for: names of reasons.
        image: numbers of the preprocessed image; ``None``: it is not judged.

    Returns:
        ``classes`` (by name, ``volume_ml``, ``mean_confidence``, ``predicted_dice``, ``predicted_dice_low``,
        ``predicted_dice_high``), ``predicted_mean_dice``, ``predicted_mean_of``, ``case_confidence``, ``calibrated``,
        ``review`` and ``reasons``: plain values.

    Raises:
        ValueError: shapes, spacing, names or calibration do not fit each other.
    """
    classes = len(probabilities)
    if sorted(label_names) != list(range(1, classes)):
        raise ValueError(
            f"label_names must name the classes 1..{classes - 1} of the prediction's {classes} channels, "
            f"got {sorted(label_names)}"
        )
    raw = predicted_dice(probabilities[None], confidence[None].clamp(0, 1))[0].cpu().numpy()
    predicted = class_map(probabilities)[0]
    calibration = DiceCalibration.identity(classes - 1) if calibration is None else calibration
    calibrated = calibration.level is not None
    dice, low, high = calibration(raw)
    known = calibration.training
    rows: dict[str, dict[str, float | None]] = {}
    reasons = known.image_reasons(image) if known and image and "image" in review_for else []
    for index, name in sorted(label_names.items()):
        mask = predicted == index
        count = int(torch.count_nonzero(mask))
        volume_ml = count * math.prod(spacing_mm) / 1000
        row = rows[name] = {"volume_ml": volume_ml, **dict.fromkeys(NUMBERS)}
        if count:
            row["mean_confidence"] = mean_within(confidence[0], structure_zone(mask, spacing_mm, band_mm))
            row["predicted_dice"] = float(dice[index - 1])
            if calibrated:
                row["predicted_dice_low"], row["predicted_dice_high"] = float(low[index - 1]), float(high[index - 1])
        reasons += structure_reasons(
            index, name, mask, row["predicted_dice"], volume_ml, review_below, known, review_for
        )
    there = {name: row["predicted_dice"] for name, row in rows.items() if row["predicted_dice"] is not None}
    return {
        "classes": rows,
        "predicted_mean_dice": sum(there.values()) / len(there) if there else None,
        "predicted_mean_of": [*there],
        "case_confidence": case_confidence([row["predicted_dice"] for row in rows.values()], bool(reasons)),
        "calibrated": calibrated,
        "review": bool(reasons),
        "reasons": reasons,
    }


def mean_within(values: torch.Tensor, zone: torch.Tensor) -> float:
    """Mean of the values where the zone is, slab by slab in float64."""
    total = sum(float((values[slab] * zone[slab]).sum(dtype=torch.float64)) for slab in slabs(values[None]))
    return total / int(torch.count_nonzero(zone))


class CaseReportd(MapTransform):
    """Writes a case's :func:`case_quality` to ``<output_dir>/<case>/<case>_report.json`` and into ``data["result"]``.

    Run it between the inversion and the argmax: it needs the probabilities and M in the image's own space. Nothing
    else in the data changes.

    ``data["result"]``, made if absent, gets flat scalars, which MONAI Label returns as the result's parameters:
    ``predicted_mean_dice``, ``predicted_mean_of``, ``case_confidence``, ``calibrated``, ``review``,
    ``review_reasons`` (lists as one string) and for each class ``<name>_volume_ml``, ``<name>_predicted_dice`` and so
    on, blanks in names as underscores.

    Where the weights are named, the report also holds ``networks``, the digests of their parameters, and in any case
    ``package``, this package's version, and ``remarks``: sentences that a reader must know, one string in the result: a
    calibration of other weights that was not used, a D that was trained for another S.

    The file holds the same with ``case``, ``image`` and ``spacing_mm``; the folder and the case's name are those of
    ``SaveImaged``. It is left out without an ``output_dir``, and for data with ``server_key``: MONAI Label puts
    ``image_path`` there, and a server that returns numbers should leave no files behind.

    Args:
        keys: the probabilities, one key; a ``MetaTensor`` ``(C, ...)`` after ``Invertd``; its affine gives the spacing.
        label_names: name of each class by its index (as text or number), as in the bundle.
        confidence_key: M, ``(1, ...)``.
        image_key: the image, whose metadata name its file.
        output_dir: where reports go; ``None``: nowhere.
        calibration: a ``DiceCalibration`` or the file of one. Where there is no such file, or it is of other weights or
            classes, the predicted Dice stays raw, without interval, and log and ``remarks`` say so.
        weights: files of S's weights (one, or several that are averaged) and of D's.
        review_below: see :func:`case_quality`.
        review_for: names of the reasons to review, of
            :data:`~dam_components.transforms.review_reasons.REASONS`; leave one out to switch it off.
        band_mm: see :func:`case_quality`.
        server_key: data with this key are a server's; ``None``: files always.
        report_key: leave the report under this key for ``WriteReportd``, which makes it the last of the case's files;
            an older report is removed, as the case is no longer finished. ``None``: write it at once.
        allow_missing_keys: pass data without probabilities on untouched.

    Raises:
        ValueError: the calibration is broken or for another number of classes, the prediction has no affine, or a file
            is wanted for an image without a name.

    Example:
        >>> data = {"pred": MetaTensor(torch.tensor([[[0.9, 0.2]], [[0.1, 0.8]]]), affine=torch.eye(4)),
        ...         "confidence": torch.ones(1, 1, 2), "image": torch.zeros(1, 1, 2)}
        >>> CaseReportd("pred", {"1": "left lobe"})(data)["result"]["left_lobe_predicted_dice"]
        1.0
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_names: Mapping[Any, str],
        confidence_key: str = "confidence",
        image_key: str = "image",
        output_dir: str | os.PathLike | None = None,
        calibration: DiceCalibration | str | os.PathLike | None = None,
        review_below: float = 0.8,
        band_mm: float = 3.0,
        server_key: str | None = "image_path",
        report_key: str | None = None,
        allow_missing_keys: bool = False,
        weights: Sequence[str | Sequence[str]] | None = None,
        review_for: Sequence[str] = tuple(REASONS),
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name the probabilities, one key, got {list(self.keys)}")
        if not 0 <= review_below <= 1:
            raise ValueError(f"review_below must be a Dice in 0..1, got {review_below}")
        self.label_names = {int(index): name for index, name in label_names.items()}
        self.confidence_key = confidence_key
        self.image_key = image_key
        self.output_dir = output_dir
        self.review_below = review_below
        self.review_for = check_reasons(review_for)
        self.band_mm = band_mm
        self.server_key = server_key
        self.report_key = report_key
        self.networks: Any = None
        self.remarks: list[str] = []
        if weights is not None:
            self.networks, self.remarks = describe_networks(weights)
        if isinstance(calibration, (str, os.PathLike)):
            calibration, remarks = fitting_calibration(Path(calibration), self.label_names, self.networks)
            self.remarks = [*self.remarks, *remarks]
        self.calibration = calibration

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            quality, spacing_mm = self.quality(result[key], result[self.confidence_key], result.get(self.image_key))
            quality["remarks"] = self.remarks
            result["result"] = {**result.get("result", {}), **flat(quality)}
            served = self.server_key is not None and self.server_key in result
            if self.output_dir is not None and not served:
                target, source = case_file(result[self.image_key], self.output_dir, "report", ".json")
                report = {"case": target.parent.name, "image": source, "spacing_mm": spacing_mm, **quality}
                report |= {"package": __version__} | ({"networks": self.networks} if self.networks else {})
                if self.report_key is None:
                    write_report(target, report)
                else:
                    target.unlink(missing_ok=True)
                    result[self.report_key] = {"file": str(target), "report": report}
        return result

    def quality(
        self, probabilities: Any, confidence: torch.Tensor, image: Any = None
    ) -> tuple[dict[str, Any], list[float]]:
        """The case's quality, and its spacing."""
        if not isinstance(probabilities, MetaTensor):
            raise ValueError("the prediction has no affine, so no volume: run CaseReportd on what Invertd gives")
        spacing_mm = [round(float(step), 6) for step in probabilities.pixdim][: probabilities.ndim - 1]
        numbers = None
        if image is not None and self.calibration is not None and self.calibration.training is not None:
            numbers = ImageNumbers.placed(plain(image).cpu().numpy(), probabilities.affine.cpu().numpy())
        quality = case_quality(
            probabilities.as_tensor(),
            plain(confidence),
            spacing_mm,
            self.label_names,
            self.calibration,
            self.review_below,
            self.band_mm,
            self.review_for,
            numbers,
        )
        return quality, spacing_mm


def flat(quality: Mapping[str, Any]) -> dict[str, Any]:
    """A report's scalars by one name each."""
    scalars = {
        f"{name.replace(' ', '_')}_{quantity}": value
        for name, row in quality["classes"].items()
        for quantity, value in row.items()
    }
    return {
        "predicted_mean_dice": quality["predicted_mean_dice"],
        "predicted_mean_of": "; ".join(quality["predicted_mean_of"]),
        "case_confidence": quality["case_confidence"],
        "calibrated": quality["calibrated"],
        "remarks": "; ".join(quality["remarks"]),
        "review": quality["review"],
        "review_reasons": "; ".join(quality["reasons"]),
        **scalars,
    }


def case_file(image: Any, output_dir: str | os.PathLike | None, postfix: str, extension: str) -> tuple[Path, str]:
    """A case's file in the folder that ``SaveImaged`` uses for it, which is made, and the file of its image.

    Raises:
        ValueError: the image's metadata name no file.
    """
    meta = getattr(image, "meta", {})
    source = meta.get("filename_or_obj")
    if source is None:
        raise ValueError("the image names no file, so its case has no name: set output_dir to null")
    name = name_from_meta(meta)
    folder = Path(str(output_dir), name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}_{postfix}{extension}", str(source)
