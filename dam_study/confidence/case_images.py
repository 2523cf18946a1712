"""What each rival says of the Dice of a case, on clean images and on spoilt ones."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.bundle import ConfigParser
from monai.metrics import compute_dice
from monai.networks import one_hot

from dam_components.confidence.case_evidence import gather_case, image_spacing
from dam_components.confidence.doubt_scores import make_scores
from dam_components.confidence.trained_bundle import (
    calibration_file,
    confidence_map,
    load_models,
    read_bundle,
    study_cases,
)
from dam_components.data import warn_of_known_cases
from dam_components.data.hard_cases import HARD_KINDS, HardCased, kinds_in_turn
from dam_components.metrics import DiceCalibration, fit_temperature
from dam_components.metrics.dice_interval import CLEAN
from dam_components.metrics.training_range import ImageNumbers
from dam_components.networks import load_weights
from dam_components.plain_tensor import plain
from dam_components.predicted_class import predict_class
from dam_components.transforms.review_reasons import REASONS, structure_reasons
from dam_study.confidence.fold_study import sample_voxels

__all__ = ["LEARN", "JUDGE", "CaseImages"]

LEARN, JUDGE = "validation", "test"  # sections: calibrated on the first, judged on the second
SCORES = ("D", "softmax", "temperature", "untrained")
OTHER_REASONS = tuple(name for name in REASONS if name != "dice")  # that of Dice follows from each calibration


class CaseImages:
    """S, D and their rivals, loaded; :meth:`rows` runs them over images.

    Args:
        bundle: the bundle's folder.
        overlays: configuration files on top.
        entries: of the configuration, that are replaced.
        members: weights of other S, for the pairwise Dice of an ensemble.
        flip_axes: spatial axes; each flip is compared with the plain image.
        limit: take only this many cases of a section.
        seed: of spoilt images and of the temperature's voxels.

    Raises:
        FileNotFoundError: without the bundle, the data or one of the weights.
    """

    def __init__(
        self,
        bundle: str | os.PathLike,
        overlays: Sequence[str],
        entries: Mapping[str, Any],
        members: Sequence[str],
        flip_axes: Sequence[int],
        limit: int | None,
        seed: int,
    ) -> None:
        self._sources = (bundle, overlays, dict(entries))
        self.limit, self.seed, self.flip_axes = limit, seed, flip_axes
        self.parser = self._read(LEARN)
        self.segmenter, confidence, self.device = load_models(self.parser)
        self.others = [
            load_weights(copy.deepcopy(self.segmenter.network), path).to(self.device).eval() for path in members
        ]
        file = calibration_file(self.parser)
        self.known = DiceCalibration.load(file).training if Path(file).is_file() else None
        untrained = confidence_map(self._read(LEARN, confidence_network="$@confidence_network_def.to(@device)"))
        cases = study_cases(self.parser.get_parsed_content("validate#dataset"), limit, "temperature")
        self.temperature = fit_temperature(*sample_voxels(cases, self.segmenter, self.device, seed))
        self.scores = make_scores(SCORES, confidence, self.temperature, untrained)
        labels = self.parser.get_parsed_content("label_names")
        self.names = {int(index): name for index, name in labels.items()}

    def rows(self, section: str, severities: Sequence[float]) -> pd.DataFrame:
        """A row an image and structure: true Dice, predicted by each score, and the reasons that apply.

        Args:
            section: of the fold.
            severities: of the spoilt images, which take them in turn, as in dam calibrate.
        """
        dataset = self._read(section).get_parsed_content("validate#dataset")
        warn_of_known_cases(dataset.data, self.parser.get_parsed_content("weights"))
        found: list[dict[str, Any]] = []
        for number, item in enumerate(study_cases(dataset, self.limit, f"images of section {section}")):
            found += self._judge(item, item, CLEAN, 0.0)
            for kind, severity in kinds_in_turn(HARD_KINDS, severities, number):
                spoilt = HardCased(("image", "label"), kind, severity, self.seed)(item)
                found += self._judge(spoilt, item, kind, severity)
        return pd.DataFrame(found).assign(section=section)

    @torch.no_grad()
    def _judge(
        self, image: Mapping[Any, Any], clean: Mapping[Any, Any], kind: str, severity: float
    ) -> list[dict[str, Any]]:
        said_once: list[torch.Tensor] = []

        def segment(values: torch.Tensor) -> torch.Tensor:
            said_once.append(self.segmenter(values))
            return said_once[-1]

        case = gather_case(image, segment, self.scores, kind, device=self.device, regions=())
        values = torch.as_tensor(plain(image["image"]))[None].float().to(self.device)
        plainly = predict_class(said_once[0].softmax(1))
        flipped = [predict_class(self.segmenter(values.flip(2 + axis))).flip(2 + axis) for axis in self.flip_axes]
        said = dict(case.predicted_dice)
        said["flips agree"] = np.mean([self._agreement(plainly, other) for other in flipped], axis=0)
        if self.others:
            all_of_them = [plainly, *(predict_class(self.segmenter(values, other)) for other in self.others)]
            pairs = itertools.combinations(all_of_them, 2)
            said["ensemble agrees"] = np.mean([self._agreement(*pair) for pair in pairs], axis=0)
        spacing_mm = image_spacing(clean["image"], plainly.ndim - 2)
        unlike = self.known is not None and self.known.image_reasons(
            ImageNumbers.of(values[0].cpu().numpy(), spacing_mm)
        )
        rows = []
        for index, name in self.names.items():
            mask = plainly[0, 0] == index
            volume_ml = float(mask.sum()) * float(np.prod(spacing_mm)) / 1000
            dice = 1.0 if mask.any() else None
            reasons = {
                reason: bool(structure_reasons(index, name, mask, dice, volume_ml, 0.0, self.known, [reason]))
                for reason in OTHER_REASONS
            } | {"image": bool(unlike)}
            predicted = {f"predicted_dice_{score}": float(each[index - 1]) for score, each in said.items()}
            row = {"case": case.case, "kind": kind, "severity": severity, "class": name}
            rows.append(row | {"true_dice": float(case.true_dice[index - 1])} | predicted | reasons)
        return rows

    def _agreement(self, one: torch.Tensor, other: torch.Tensor) -> np.ndarray:
        """Dice of each structure between two segmentations; of one that both lack 1."""
        first, second = (one_hot(classes, 1 + len(self.names)) for classes in (one, other))
        return compute_dice(first, second, include_background=False, ignore_empty=False)[0].cpu().double().numpy()

    def _read(self, section: str, **replaced: Any) -> ConfigParser:
        bundle, overlays, entries = self._sources
        return read_bundle(bundle, overlays, section=section, **(entries | replaced))
