"""The ``calibrate`` command: what D's predicted Dice is worth, learnt from cases whose true Dice is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.bundle import ConfigParser
from sklearn.model_selection import GroupKFold

from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.confidence.case_evidence import CALIBRATED, CaseEvidence, calibrate_case, gather_case, image_spacing
from dam_components.confidence.doubt_scores import Confidence, Segmenter, make_scores
from dam_components.confidence.evidence_table import agreement_table, case_rows
from dam_components.confidence.trained_bundle import (
    calibration_file,
    comma_numbers,
    comma_words,
    fold_numbers,
    in_fold,
    load_models,
    named_entries,
    read_bundle,
    read_inference,
    study_cases,
)
from dam_components.data import HARD_KINDS, HardCased, warn_of_known_cases
from dam_components.data.dataset_split import patients_of
from dam_components.data.hard_cases import kinds_in_turn
from dam_components.metrics import DiceCalibration, min_cases
from dam_components.metrics.dice_calibration import check_level
from dam_components.metrics.dice_interval import CLEAN
from dam_components.metrics.training_range import ImageNumbers, StructureNumbers, TrainingRange, count_pieces
from dam_components.networks import file_digests
from dam_components.plain_tensor import plain

__all__ = ["calibrate", "cross_calibrate", "fit_cases"]

FOLDS = 5
NETWORKS = ("weights", "confidence_weights")


def calibrate(
    bundle: str | None = None,
    data: str | None = None,
    output: str | None = None,
    weights: str | None = None,
    confidence_weights: str | None = None,
    overlay: str | Sequence[str] = (),
    section: str = "validation",
    fold: int | str | Sequence[int] | None = None,
    severity: float | str | Sequence[float] = (0.5, 1.0),
    level: float = 0.9,
    limit: int | None = None,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Learns from labelled cases how far to trust D's predicted Dice, and saves it for inference and the study.

    S and D run over the section's cases, clean and made hard in every way of dam_components.data.HARD_KINDS. Each
    class gets a map from raw to calibrated Dice, and an interval that is made to hold on kinds of image that it did not
    see. The file also holds the ranges of the training cases' images and structures, which reviews ask for. What is
    printed is cross-fitted: each image is judged by a calibration that saw no copy of its case and no
    image of its kind. S and D must not have been trained on the section.

    Args:
        bundle: the bundle's folder; by default the project's, beside the package.
        data: the dataset, Decathlon layout; by default the configuration's.
        output: the file; by default calibration.json beside D's weights, where the study and, in the bundle, inference
            look for it.
        weights: of S; by default the configuration's.
        confidence_weights: of D; likewise.
        overlay: configuration files on top, tasks/promise12.json for instance, separated by commas.
        section: of the fold: validation, test, train or all.
        fold: by default the configuration's; several, separated by commas, are pooled. {fold} in the name of a file
            stands for the number of each: --fold 0,1 --section test --weights "models/fold{fold}/model.pt". The file is
            then for the networks of the bundle's inference, and its ranges are of all cases. The D of train --folds all
            has learned from these cases, so its errors may be somewhat larger than what is printed.
        severity: of the hard copies, separated by commas; 1 is hard. The copies of a case take them in turn, and those
            of the next case the other way round.
        level: the share of cases that the interval should hold.
        limit: take only this many cases of each fold, to try things out.
        seed: of the hard copies.
        overrides: other entries of the configuration by name: '{"channels": [8, 16, 32, 64]}'.

    Raises:
        ValueError: for an option out of range, or too few cases; the message says what goes.
        FileNotFoundError: without the bundle, the data or the weights.
    """
    steps = comma_numbers(severity, "severity", "positive numbers", float)
    check_level(level)
    folds = fold_numbers(fold)
    options = [in_fold(named_entries(data, weights, confidence_weights, number, overrides), number) for number in folds]
    parsers = [read_bundle(bundle_folder(bundle), comma_words(overlay), section=section, **each) for each in options]
    datasets = [parser.get_parsed_content("validate#dataset") for parser in parsers]
    count = sum(len(dataset) if limit is None else min(limit, len(dataset)) for dataset in datasets)
    if count < 3:
        more = "train with --folds#validation 3, or name another --section"
        remedy = "raise --limit" if count < sum(map(len, datasets)) else more
        raise ValueError(f"calibration needs at least 3 cases, got {count} of section {section}: {remedy}")
    patients = {*patients_of(item for dataset in datasets for item in dataset.data[:limit]).values()}
    if len(patients) < 3:
        raise ValueError(
            f"calibration needs cases of 3 patients, got {len(patients)}: validate more, or name another --section"
        )
    for parser, dataset in zip(parsers, datasets, strict=True):
        warn_of_known_cases(dataset.data, parser.get_parsed_content("weights"))
    models = [load_models(parser) for parser in parsers]  # all of them before any runs, which may take hours
    parser = parsers[0]
    shipped, learnt = (parser, "train") if len(folds) == 1 else (read_inference(bundle_folder(bundle)), "all")
    networks = [digest for name in NETWORKS for digest in file_digests(shipped.get_parsed_content(name))]
    cases: list[CaseEvidence] = []
    for model, dataset in zip(models, datasets, strict=True):
        cases += _gather(model, dataset, limit, steps, seed, done=len(cases) // (1 + len(HARD_KINDS)))

    calibration = fit_cases(cases, level)
    cross_calibrate(cases, level)
    target = calibration_file(parser) if output is None else Path(output)
    labels = parser.get_parsed_content("label_names")
    names = {str(index): name for index, name in labels.items()}
    training = training_range(read_bundle(bundle_folder(bundle), comma_words(overlay), section=learnt, **options[0]))
    replace(calibration, networks=tuple(networks), label_names=names, training=training).save(target)
    table = agreement_table(case_rows(cases, [labels[index] for index in sorted(labels, key=int)], ["D", CALIBRATED]))
    made = f"{len(HARD_KINDS)} hard copies of each"
    print(f"{count} cases of section {section} and {made}, calibrated by other cases and kinds:")
    print(*worth_lines(table, level), f"wrote {target}", sep="\n")
    if count < min_cases(level):
        print(
            f"take these intervals as rough: copies of {count} cases do not make up for the {min_cases(level)} cases "
            f"that {level:.0%} needs; name a larger --section, or lower --level"
        )


def _gather(
    model: tuple[Segmenter, Confidence, torch.device],
    dataset: Any,
    limit: int | None,
    steps: Sequence[float],
    seed: int,
    done: int,
) -> list[CaseEvidence]:
    """Dice, true and predicted, of each case of a fold and its hard copies; ``done`` cases have had their turns."""
    segmenter, confidence, device = model
    scores = make_scores(["D"], confidence)
    cases: list[CaseEvidence] = []
    for number, item in enumerate(study_cases(dataset, limit, "calibrate"), done):
        turns = kinds_in_turn(HARD_KINDS, steps, number)
        spoilers = [HardCased(("image", "label"), kind, step, seed) for kind, step in turns]
        copies = [(CLEAN, item), *((spoil.kind, spoil(item)) for spoil in spoilers)]
        cases += [gather_case(copy, segmenter, scores, kind, device=device, regions=()) for kind, copy in copies]
    return cases


def worth_lines(table: pd.DataFrame, level: float) -> Iterator[str]:
    """What calibrated Dice is worth, for clean cases and for all, in words."""
    mean: Any = table[table["class"] == "mean"].set_index(["cases", "score"])
    for group in ("clean", "clean and hard"):
        ours, constant = mean.loc[(group, CALIBRATED)], mean.loc[(group, "constant")]
        yield (
            f"{group} cases: predicted Dice is off by {ours['mean_absolute_error']:.3f}, a constant by "
            f"{constant['mean_absolute_error']:.3f}; intervals for {level:.0%} hold {ours['interval_coverage']:.0%}"
        )


def training_range(parser: ConfigParser) -> TrainingRange | None:
    """What the training cases of a fold are like, preprocessed and labelled as S saw them; ``None`` without any."""
    dataset = parser.get_parsed_content("validate#dataset")
    images, structures = [], []
    for item in study_cases(dataset, None, "ranges of the training cases") if len(dataset) else ():
        image, label = item["image"], plain(item["label"])[0]
        affine = np.asarray(getattr(image, "meta", {}).get("original_affine", np.eye(4)))
        images.append(ImageNumbers.placed(plain(image).cpu().numpy(), affine))
        voxel_ml = math.prod(image_spacing(image, label.ndim)) / 1000
        values = np.asarray(label.cpu()).round().astype(int)
        masks = {str(index): values == index for index in np.unique(values) if index > 0}
        numbers = {i: StructureNumbers(voxel_ml * int(mask.sum()), count_pieces(mask)) for i, mask in masks.items()}
        structures.append(numbers)
    return TrainingRange.of(images, structures) if images else None


def fit_cases(cases: Sequence[CaseEvidence], level: float) -> DiceCalibration:
    """The calibration of D's predicted Dice on these cases, all images of one patient together.

    Classes that S predicts nowhere are left out. The clean cases, which are what most clinics have, weigh as much as
    all hard copies together, and intervals are made for kinds of image that are not among these.

    Raises:
        ValueError: if there are too few cases, or too few in which S predicts a class.
    """
    raw = np.stack([np.where(case.predicted_classes, case.predicted_dice["D"], np.nan) for case in cases])
    true = np.stack([case.true_dice for case in cases])
    owners, kinds = [case.owner for case in cases], [case.kind for case in cases]
    return DiceCalibration.fit(raw, true, level, owners, kinds)


def cross_calibrate(cases: Sequence[CaseEvidence], level: float) -> None:
    """Calibrates each image in place by the images of other kinds and of the cases of other folds; at most 5 folds.

    Clean images are the kind that is never left out.

    Args:
        cases: all images of one patient stay in one fold; at least 3 patients.
        level: of the intervals.

    Raises:
        ValueError: as :func:`fit_cases`.
    """
    owners = [case.owner for case in cases]
    for learn, test in GroupKFold(min(FOLDS, len(set(owners)))).split(owners, groups=owners):
        for kind in {cases[i].kind for i in test}:
            seen = [cases[i] for i in learn if cases[i].kind != kind or kind == CLEAN]
            calibration = fit_cases(seen, level)
            for i in test:
                if cases[i].kind == kind:
                    calibrate_case(cases[i], calibration)
