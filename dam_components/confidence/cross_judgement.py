"""D behind stored probabilities, judged on cases that it did not learn from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, Transform
from tqdm import tqdm

from dam_components.confidence.case_evidence import CaseEvidence, gather_case
from dam_components.confidence.doubt_scores import Confidence, make_scores
from dam_components.data import stored_training_cases
from dam_components.metrics import fit_temperature
from dam_components.networks import StoredProbabilities, load_weights
from dam_components.transforms import ConfidenceMapd

__all__ = ["STORED_SCORES", "case_reader", "confidence_of", "judge_parts", "sample_voxels", "stored_logits"]

STORED_SCORES = ("D", "softmax", "entropy", "temperature", "untrained")
SAMPLED_VOXELS = 2_000_000  # for the temperature, over all cases

Voxels = tuple[torch.Tensor, torch.Tensor]
"""Logits ``(N, C)`` and labels ``(N,)`` of some voxels of a case."""


def judge_parts(
    parser: ConfigParser, file: str | Path, weights: Sequence[str | Path], seed: int = 0
) -> tuple[list[CaseEvidence], list[float]]:
    """What D and the model's own scores say of every case: D and temperature are fitted without the case's part.

    Args:
        parser: train.json, train_confidence.json and stored_probabilities.json of the bundle.
        file: the cases, ``data/stored_cases.json``.
        weights: of the D that was trained without part 0, without part 1, and so on.
        seed: of the voxels that the temperature is fitted on.

    Returns:
        The evidence of each case, and the temperature of each part.
    """
    read = case_reader(parser)
    voxels: dict[str, tuple[int, Voxels]] = {}
    cases = stored_training_cases(file)
    draw = np.random.default_rng(seed)
    for case in tqdm(cases, desc="voxels for the temperature", unit="case"):
        voxels[case["case"]] = (case["part"], sample_voxels(read(case), SAMPLED_VOXELS // len(cases), draw))
    evidence, temperatures = [], []
    for part, path in enumerate(weights):
        others = [sampled for of_part, sampled in voxels.values() if of_part != part]
        logits, labels = (torch.cat(parts) for parts in zip(*others, strict=True))
        temperature = fit_temperature(logits, labels)
        temperatures.append(temperature)
        scores = make_scores(
            STORED_SCORES,
            confidence_of(parser, path),
            temperature,
            untrained=confidence_of(parser, None),
        )
        for case in tqdm(stored_training_cases(file, only=part), desc=f"judge part {part}", unit="case"):
            item = read(case)
            evidence.append(gather_case(item, stored_logits(item), scores))
    return evidence, temperatures


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


def sample_voxels(item: Mapping[str, Any], count: int, draw: np.random.Generator) -> Voxels:
    """Logits and labels of voxels drawn at random, at most ``count``."""
    logits = stored_logits(item)(torch.empty(0))[0].flatten(1)
    chosen = torch.from_numpy(draw.permutation(logits.shape[1])[: max(count, 1)])
    return logits[:, chosen].T.contiguous(), item["label"].as_tensor().flatten()[chosen].long()
