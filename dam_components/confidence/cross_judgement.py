"""D behind stored probabilities, judged on cases that it did not learn from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, Transform
from tqdm import tqdm

from dam_components.confidence.case_evidence import CaseEvidence, gather_case, image_spacing
from dam_components.confidence.doubt_scores import Confidence, Segmentation, make_scores
from dam_components.data import stored_training_cases
from dam_components.metrics import error_band, fit_rising_curve, fit_temperature, rising_curve
from dam_components.networks import StoredProbabilities, load_weights
from dam_components.transforms import ConfidenceMapd

__all__ = [
    "STORED_SCORES",
    "CaseVoxels",
    "case_reader",
    "confidence_of",
    "judge_parts",
    "judge_voxels",
    "rising_curve_of",
    "sample_cases",
    "stored_logits",
]

STORED_SCORES = ("D", "softmax", "entropy", "temperature", "isotonic", "untrained")
SAMPLED_VOXELS = 2_000_000  # over all cases: for the temperature, and for the rising curves


@dataclass(frozen=True)
class CaseVoxels:
    """Some voxels of a case: from anywhere for the temperature, and from near the predicted surface for the curves.

    Attributes:
        part: of the case.
        logits: of the stored probabilities, ``(N, C)``, anywhere.
        labels: of the same voxels, ``(N,)``.
        judged: what the D that did not learn from the case says near the surface, ``(n,)``.
        softmax: largest probability of the same voxels.
        right: whether the label is the predicted class there.
    """

    part: int
    logits: torch.Tensor
    labels: torch.Tensor
    judged: np.ndarray
    softmax: np.ndarray
    right: np.ndarray


def sample_cases(
    parser: ConfigParser, file: str | Path, weights: Sequence[str | Path], seed: int = 0, band_mm: float = 3.0
) -> list[CaseVoxels]:
    """What the temperature and the rising curves are fitted on.

    The curves learn near the predicted surface: there the errors are, and no label is needed to say where that is.

    Args:
        parser: train.json, train_confidence.json and stored_probabilities.json of the bundle.
        file: the cases, ``data/stored_cases.json``.
        weights: of the D that was trained without part 0, without part 1, and so on.
        seed: of the voxels that are drawn.
        band_mm: width on each side of the surface.
    """
    read, draw, found = case_reader(parser), np.random.default_rng(seed), []
    of_parts = [confidence_of(parser, path) for path in weights]
    cases = stored_training_cases(file)
    for case in tqdm(cases, desc="voxels for the calibration", unit="case"):
        found.append(
            _voxels(read(case), case["part"], of_parts[case["part"]], SAMPLED_VOXELS // len(cases), draw, band_mm)
        )
    return found


def _voxels(
    item: Mapping[str, Any], part: int, confidence: Confidence, count: int, draw: np.random.Generator, band_mm: float
) -> CaseVoxels:
    case, judged = judge_voxels(item, confidence)
    logits, labels = case.logits[0].flatten(1), item["label"].as_tensor().flatten()
    anywhere = torch.from_numpy(draw.permutation(logits.shape[1])[: max(count, 1)])
    predicted = case.predicted[0, 0].numpy()
    inside = error_band(predicted, predicted, image_spacing(item["image"], predicted.ndim), band_mm)
    near = np.flatnonzero(inside)
    near = draw.permutation(near)[:count] if len(near) > count else near
    of_d, softmax, right = judged.reshape(3, -1)[:, near]
    return CaseVoxels(
        part, logits[:, anywhere].T.contiguous(), labels[anywhere].long(), of_d, softmax, right.astype(bool)
    )


def judge_voxels(item: Mapping[str, Any], confidence: Confidence) -> tuple[Segmentation, np.ndarray]:
    """The case as the model segmented it, and of every voxel: D's confidence, the largest probability, and 1 where the
    predicted class is right: ``(3, ...)``, float32."""
    case = Segmentation.of(item["image"].as_tensor()[None].float(), stored_logits(item))
    right = case.predicted == item["label"].as_tensor()[None]
    judged = confidence(case.probabilities, case.image)
    values = torch.cat([judged.float(), case.probabilities.amax(1, keepdim=True), right.float()], dim=1)
    return case, values[0].numpy()


def rising_curve_of(voxels: Sequence[CaseVoxels], score: str = "judged", without: int | None = None) -> np.ndarray:
    """The curve of D, or of the ``softmax``, of all cases or of those of the other parts.

    The D of another part has learned from the cases of part ``without``; the curve sees what it says of its own part's.
    """
    used = [case for case in voxels if case.part != without]
    confidence, right = (np.concatenate([getattr(case, name) for case in used]) for name in (score, "right"))
    return fit_rising_curve(confidence, right)


def judge_parts(
    parser: ConfigParser, file: str | Path, weights: Sequence[str | Path], voxels: Sequence[CaseVoxels]
) -> tuple[list[CaseEvidence], list[float]]:
    """What D and the model's own scores say of every case: each is fitted and calibrated without the case's part.

    Args:
        parser: train.json, train_confidence.json and stored_probabilities.json of the bundle.
        file: the cases, ``data/stored_cases.json``.
        weights: of the D that was trained without part 0, without part 1, and so on, with the curve of the other parts.
        voxels: of :func:`sample_cases`.

    Returns:
        The evidence of each case, and the temperature of each part.
    """
    read = case_reader(parser)
    evidence, temperatures = [], []
    for part, path in enumerate(weights):
        others = [case for case in voxels if case.part != part]
        logits, labels = (torch.cat([getattr(case, name) for case in others]) for name in ("logits", "labels"))
        temperatures.append(fit_temperature(logits, labels))
        curve = rising_curve_of(voxels, "softmax", part)
        scores = make_scores(
            STORED_SCORES,
            confidence_of(parser, path),
            temperatures[-1],
            untrained=confidence_of(parser, None),
            rising=partial(_raised, curve),
        )
        for case in tqdm(stored_training_cases(file, only=part), desc=f"judge part {part}", unit="case"):
            item = read(case)
            evidence.append(gather_case(item, stored_logits(item), scores))
    return evidence, temperatures


def _raised(curve: np.ndarray, confidence: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(rising_curve(curve, confidence.numpy()))


def case_reader(parser: ConfigParser) -> Callable[[Mapping[str, Any]], Any]:
    """Image, label and probabilities of a listed case on D's grid."""
    steps: list[Transform] = [
        *parser.get_parsed_content("train#preprocessing_transforms"),
        *parser.get_parsed_content("train#probability_transforms"),
    ]
    return Compose(steps)


def confidence_of(parser: ConfigParser, weights: str | Path | None) -> Confidence:
    """D with these weights, or untrained, as the bundle runs it: P̂ and X to M."""
    network = copy.deepcopy(parser.get_parsed_content("confidence_network_def"))
    if weights is not None:
        load_weights(network, weights)
    return ConfidenceMapd("probabilities", network, inferer=parser.get_parsed_content("validate#inferer")).confidence


def stored_logits(item: Mapping[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The S of a case: gives the logits of its stored probabilities for any image."""
    return lambda image: StoredProbabilities()(image, item["probabilities"].as_tensor()[None])
