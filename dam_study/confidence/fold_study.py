"""One fold of a confidence study: its S, its D, their rivals and its cases."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from dam_components.confidence.case_evidence import CaseEvidence, calibrate_case, gather_case
from dam_components.confidence.doubt_scores import SCORES, Segmenter, make_scores
from dam_components.confidence.trained_bundle import (
    calibration_file,
    confidence_map,
    load_models,
    read_bundle,
    study_cases,
)
from dam_components.data import warn_of_known_cases
from dam_components.data.hard_cases import HardCased
from dam_components.metrics import DiceCalibration, fit_temperature
from dam_components.networks import load_weights
from dam_components.predicted_class import predict_class
from dam_study.confidence.rival_scores import make_rivals
from dam_study.statistics import shared_errors

__all__ = ["CASE_SCORES", "FoldStudy", "case_shared_errors", "check_folds", "fit_temperatures", "sample_voxels"]

# predict Dice; each costs next to nothing, so hard cases get them too
CASE_SCORES = ("D", "softmax", "temperature", "untrained")
VOXELS_A_CASE = 200_000  # for the temperature


class FoldStudy:
    """S, D and calibration of a fold, loaded; :meth:`gather` runs them, and their rivals, over the fold's cases.

    Args:
        bundle: the bundle's folder.
        overlays: configuration files on top.
        section: of the fold.
        entries: of the configuration, that are replaced.
        members: weights of networks like S trained apart.
        calibration: of predicted Dice; by default the file beside D's weights, if it is there.
        limit: take only this many cases of a section.

    Attributes:
        parser: the configuration.
        fold: its number.
        learnt: the calibration, or ``None``.
        temperature: fitted by :func:`fit_temperatures`, or ``None``.
        clean: evidence of each case, by :meth:`gather`.
        spoilt: evidence of each case made hard.
        errors: of each case, wrong voxels and those that all members share; empty without members.

    Raises:
        FileNotFoundError: without the bundle, the data or one of the weights.
        ValueError: if weights are of another architecture, or a calibration of other classes.
    """

    def __init__(
        self,
        bundle: str | os.PathLike,
        overlays: Sequence[str],
        section: str,
        entries: Mapping[str, Any],
        members: Sequence[str] = (),
        calibration: str | None = None,
        limit: int | None = None,
    ) -> None:
        self._sources = (bundle, overlays, dict(entries))
        self.section, self.limit = section, limit
        self.parser = read_bundle(bundle, overlays, section=section, **entries)
        self.fold = int(self.parser.get_parsed_content("folds")["fold"])
        self.calibration_file = calibration_file(self.parser) if calibration is None else Path(calibration)
        self.learnt: DiceCalibration | None = None
        if calibration is not None or self.calibration_file.is_file():
            self.learnt = DiceCalibration.load(
                self.calibration_file, len(self.parser.get_parsed_content("label_names"))
            )
        self.dataset = self.parser.get_parsed_content("validate#dataset")
        warn_of_known_cases(self.dataset.data, self.parser.get_parsed_content("weights"))
        self.segmenter, self.to_confidence, self.device = load_models(self.parser)
        self.others = [
            load_weights(copy.deepcopy(self.segmenter.network), path).to(self.device).eval() for path in members
        ]
        self.temperature: float | None = None
        self.clean: list[CaseEvidence] = []
        self.spoilt: list[CaseEvidence] = []
        self.errors: list[tuple[int, int]] = []

    @property
    def class_names(self) -> list[str]:
        """Of the classes without the background."""
        labels = self.parser.get_parsed_content("label_names")
        return [labels[index] for index in sorted(labels, key=int)]

    def gather(
        self, names: Sequence[str], spoilers: Sequence[HardCased], flip_axes: Sequence[int], band_mm: float, seed: int
    ) -> None:
        """Runs S and the named scores over the section's cases, and those of ``CASE_SCORES`` over the hard ones.

        Args:
            names: of scores, ``D`` among them.
            spoilers: each makes a hard case of a case.
            flip_axes: spatial axes of flips.
            band_mm: width of the band around the structures.
            seed: of dropout.

        Raises:
            ValueError: if the section has no case.
        """
        untrained = None
        if "untrained" in names:
            drawn = self._read(self.section, confidence_network="$@confidence_network_def.to(@device)")
            untrained = confidence_map(drawn)
        own = make_scores([n for n in names if n in SCORES], self.to_confidence, self.temperature or 1.0, untrained)
        own |= make_rivals(self.segmenter, self.others, flip_axes, seed=seed)
        scores = {name: own[name] for name in names}
        cheap = {name: score for name, score in scores.items() if name in CASE_SCORES}
        gather = partial(gather_case, segmenter=self.segmenter, band_mm=band_mm, device=self.device)
        for item in study_cases(self.dataset, self.limit, f"confidence, fold {self.fold}"):
            if not self.clean:  # the first passes are slower than the rest
                gather(item, scores=cheap, kind="warm-up")
            self.clean.append(gather(item, scores=scores))
            if self.others:
                self.errors.append(case_shared_errors(item, self.segmenter, self.others, self.device))
            for spoil in spoilers:
                self.spoilt.append(gather(spoil(item), scores=cheap, kind=spoil.kind, regions=()))
        if self.learnt is not None:
            for case in [*self.clean, *self.spoilt]:
                calibrate_case(case, self.learnt)

    def voxels(self, section: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """S's logits and the labels of voxels of a section's cases, see :func:`sample_voxels`.

        Raises:
            ValueError: if the section has no case.
        """
        cases = study_cases(
            self._read(section).get_parsed_content("validate#dataset"),
            self.limit,
            f"temperature, fold {self.fold}",
            "leave temperature out of --rivals, let folds#validation hold cases, or name several folds",
        )
        return sample_voxels(cases, self.segmenter, self.device, seed)

    @property
    def validates(self) -> bool:
        """Whether the fold has validation cases."""
        return len(self._read("validation").get_parsed_content("validate#dataset")) > 0

    def _read(self, section: str, **replaced: Any) -> ConfigParser:
        bundle, overlays, entries = self._sources
        return read_bundle(bundle, overlays, section=section, **(entries | replaced))


def check_folds(studies: Sequence[FoldStudy]) -> None:
    """Refuses folds that share a network, which then learned from another one's cases, and that differ in calibration.

    Raises:
        ValueError: naming the folds.
    """
    for what in ("weights", "confidence_weights"):
        folds: dict[str, int] = {}
        for study in studies:
            file = str(study.parser.get_parsed_content(what))
            if file in folds:
                raise ValueError(
                    f"folds {folds[file]} and {study.fold} have the same {what}, {file}: the networks of a fold must "
                    "not have seen its cases; train one for each, and tell them apart by {fold} in the file's name"
                )
            folds[file] = study.fold
    without = [study for study in studies if study.learnt is None]
    if 0 < len(without) < len(studies):
        raise ValueError(
            f"there is no {without[0].calibration_file}, and other folds have one: run calibrate for each fold, or "
            "remove the others"
        )


def fit_temperatures(studies: Sequence[FoldStudy], seed: int = 0) -> None:
    """Gives each fold the temperature of S on cases that it did not learn from.

    They are the validation cases of the fold. Where it has none, they are the cases of the other folds, each segmented
    by its own S: what D learned from, if the fold's cases were left out.

    Raises:
        ValueError: if a single fold has no validation cases.
    """
    apart = len(studies) > 1 and not all(study.validates for study in studies)
    drawn = [study.voxels(study.section if apart else "validation", seed) for study in studies]
    for study in studies:
        used = [voxels for other, voxels in zip(studies, drawn, strict=True) if (other is not study) == apart]
        logits, labels = (torch.cat(parts) for parts in zip(*used, strict=True))
        study.temperature = fit_temperature(logits, labels)


def sample_voxels(
    cases: Iterator[Mapping[Any, Any]], segmenter: Segmenter, device: torch.device | str = "cpu", seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, of shape (voxels, classes), and labels of preprocessed cases: at most 200000 voxels of each, at random.

    They are what :func:`~dam_components.metrics.fit_temperature` takes.
    """
    draw = torch.Generator().manual_seed(seed)
    logits, labels = [], []
    for item in cases:
        voxels = segmenter(torch.as_tensor(item["image"])[None].float().to(device))[0].flatten(1).T.cpu()
        kept = torch.randperm(len(voxels), generator=draw)[:VOXELS_A_CASE]
        logits.append(torch.as_tensor(voxels)[kept])
        labels.append(torch.as_tensor(item["label"]).flatten().long().cpu()[kept])
    return torch.cat(logits), torch.cat(labels)


def case_shared_errors(
    item: Mapping[Any, Any], segmenter: Segmenter, others: Sequence[nn.Module], device: torch.device | str
) -> tuple[int, int]:
    """Of a preprocessed case: S's wrong voxels, and those that all other networks call the same; see
    :func:`~dam_study.statistics.shared_errors`."""
    image = torch.as_tensor(item["image"])[None].float().to(device)
    predicted, *repeats = (predict_class(segmenter(image, network))[:, 0] for network in (segmenter.network, *others))
    return shared_errors(predicted, torch.as_tensor(item["label"]).long().to(device), repeats)
