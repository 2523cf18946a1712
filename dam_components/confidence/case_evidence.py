"""What one case says about S's errors and each doubt score, in counts that add up over cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.metrics import compute_dice
from monai.networks.utils import one_hot

from dam_components.confidence.doubt_scores import Doubt, Segmentation
from dam_components.metrics import DiceCalibration, ScoreHistogram, calibration_counts, error_band, predicted_dice
from dam_components.plain_tensor import plain

__all__ = [
    "CALIBRATED",
    "VOXEL_REGIONS",
    "CaseEvidence",
    "calibrate_case",
    "gather_case",
    "image_spacing",
    "relative_times",
]

VOXEL_REGIONS = ("band", "volume")
CALIBRATED = "D, calibrated"  # among the scores that predict Dice
NO_PROBABILITY = ("entropy",)  # scores whose 1 - doubt is no probability of being right


@dataclass
class CaseEvidence:
    """Counts, times and Dice of one case.

    Attributes:
        case: its name.
        patient: whose it is, where that is known.
        kind: ``clean``, or one of :data:`dam_components.data.HARD_KINDS`.
        histograms: right and wrong voxels over doubt, by region and score, ``(2, bins)``.
        calibration: of :func:`~dam_components.metrics.calibration_counts`, by region and score; scores that are
            probabilities only.
        seconds: by score, and of S alone under ``S``.
        true_dice: of each class without the background.
        predicted_dice: the same, by score.
        predicted_classes: by class without the background, whether S predicts it anywhere.
        interval: lower and upper ends of the calibrated Dice, ``(2, classes)``, nan where there is none; ``None``
            before :func:`calibrate_case`.
    """

    case: str
    kind: str
    histograms: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    calibration: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    true_dice: np.ndarray = field(default_factory=lambda: np.empty(0))
    predicted_dice: dict[str, np.ndarray] = field(default_factory=dict)
    predicted_classes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    interval: np.ndarray | None = None
    patient: str = ""

    @property
    def owner(self) -> str:
        """The patient; a case of nobody known is its own."""
        return self.patient or self.case


def gather_case(
    item: Mapping[Any, Any],
    segmenter: Callable[[torch.Tensor], torch.Tensor],
    scores: Mapping[str, Doubt],
    kind: str = "clean",
    band_mm: float = 3.0,
    device: torch.device | str = "cpu",
    regions: Sequence[str] = VOXEL_REGIONS,
) -> CaseEvidence:
    """Runs S and each score on a preprocessed case, on the grid and in the field of view that S sees.

    Args:
        item: ``image`` ``(C, ...)``, ``label`` ``(1, ...)`` and ``case``, perhaps ``patient``; the spacing is the
            image's, 1 mm if unknown.
        segmenter: S, image ``(1, C, ...)`` to logits.
        scores: by name, in the order in which they run.
        kind: what was done to the case.
        band_mm: width of the error band on each side of a surface.
        device: where S runs.
        regions: where voxels are counted, of :data:`VOXEL_REGIONS`; none if only the Dice matters.

    Raises:
        ValueError: if the label holds a class that S does not know.
    """
    image, label = (_plain(item[key]).to(device) for key in ("image", "label"))
    evidence = CaseEvidence(str(item["case"]), kind, patient=str(item.get("patient", "")))
    started = _now(device)
    case = Segmentation.of(image[None].float(), segmenter)
    evidence.seconds["S"] = _now(device) - started
    truth, classes = label[None].long(), case.logits.shape[1]
    if truth.max() >= classes:
        raise ValueError(
            f"{evidence.case} holds label {int(truth.max())}, S knows 0..{classes - 1}: "
            "use the configuration of its task"
        )
    dice = compute_dice(
        one_hot(case.predicted, classes), one_hot(truth, classes), include_background=False, ignore_empty=False
    )
    evidence.true_dice = dice[0].double().cpu().numpy()
    evidence.predicted_classes = torch.bincount(case.predicted.flatten(), minlength=classes)[1:].cpu().numpy() > 0

    predicted, true = (volume[0, 0].cpu().numpy() for volume in (case.predicted, truth))
    wrong = predicted != true
    where = {"volume": np.ones_like(wrong)} if "volume" in regions else {}
    if "band" in regions:
        where["band"] = error_band(true, predicted, image_spacing(item["image"], true.ndim), band_mm)
    for name, score in scores.items():
        started = _now(device)
        doubt = _plain(score(case))
        evidence.seconds[name] = _now(device) - started
        values = doubt[0, 0].double().cpu().numpy()
        for region, inside in where.items():
            histogram = ScoreHistogram.from_scores(values[inside], wrong[inside])
            evidence.histograms[region, name] = np.stack([histogram.right, histogram.wrong])
            if name not in NO_PROBABILITY:
                evidence.calibration[region, name] = calibration_counts(1 - values[inside], ~wrong[inside])
        if name not in NO_PROBABILITY:
            dice = predicted_dice(case.probabilities, (1 - doubt).clamp(0, 1))
            evidence.predicted_dice[name] = dice[0].cpu().numpy()
    return evidence


def calibrate_case(case: CaseEvidence, calibration: DiceCalibration) -> None:
    """Puts D's predicted Dice as the calibration has it into the case, and its interval.

    A class that S predicts nowhere keeps its raw value, a probability that no calibration changes, and has no interval.
    """
    raw = case.predicted_dice["D"]
    dice, low, high = calibration(raw)
    case.predicted_dice[CALIBRATED] = np.where(case.predicted_classes, dice, raw)
    case.interval = np.where(case.predicted_classes, [low, high], np.nan)


def relative_times(cases: Sequence[CaseEvidence]) -> dict[str, float]:
    """Time of S with each score over that of S alone: the median over cases of the ratio within a case."""
    names = cases[0].seconds.keys() - {"S"}
    return {
        name: float(np.median([(case.seconds["S"] + case.seconds[name]) / case.seconds["S"] for case in cases]))
        for name in names
    }


def _plain(tensor: Any) -> torch.Tensor:
    return torch.as_tensor(plain(tensor))


def image_spacing(image: Any, spatial_dims: int) -> tuple[float, ...]:
    """Size of a voxel along each axis in mm, from the image's affine; 1 mm if it has none."""
    if isinstance(image, MetaTensor):
        return tuple(float(step) for step in image.pixdim[:spatial_dims])
    return (1.0,) * spatial_dims


def _now(device: torch.device | str) -> float:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
