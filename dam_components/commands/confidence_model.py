"""``confidence fit``: D and its calibration for a model that somebody else has trained, and a verdict on them."""

from __future__ import annotations

import inspect
import os
import random
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from dam_components.commands.bundle_jobs import bundle_folder, run_bundle
from dam_components.commands.calibration import cross_calibrate, fit_cases
from dam_components.commands.planning import name_by_user, named_fingerprint
from dam_components.confidence.case_evidence import CaseEvidence, calibrate_case
from dam_components.confidence.cross_judgement import judge_parts, rising_curve_of, sample_cases
from dam_components.confidence.judgement_report import write_judgement
from dam_components.confidence.probability_check import check_stored
from dam_components.data.dataset_layouts import SourceDataset
from dam_components.data.finding import at_level
from dam_components.data.probability_cases import FoldFile, find_probabilities, nnunet_folder
from dam_components.data.stored_probabilities import check_order
from dam_components.metrics import DiceCalibration
from dam_components.metrics.case_bootstrap import check_resamples
from dam_components.metrics.dice_calibration import check_level
from dam_components.networks import file_digests, put_curve
from dam_components.planning.dataset_check import check_dataset
from dam_components.planning.plan import make_plan
from dam_components.planning.planned_bundle import write_planned_bundle
from dam_components.planning.stored_bundle import case_parts, common_grid, put_stored_cases, put_stored_inference
from dam_components.planning.stored_dataset import stored_dataset

__all__ = ["fit", "train_parts"]

TRAINING = ("train.json", "train_confidence.json", "stored_probabilities.json")
D_VOXELS = 150_000  # of its windows, and it takes several a step: it costs a fraction of what an S costs


def fit(
    images: str,
    labels: str,
    probabilities: str,
    output: str,
    order: str | None = None,
    splits: str | None = None,
    in_sample: bool = False,
    partial: bool = False,
    label_names: Mapping[int, str] | None = None,
    modality: str | None = None,
    spacing: str | Sequence[float] | None = None,
    parts: int = 3,
    iterations: int = 876,
    level: float = 0.9,
    resamples: int = 2000,
    seed: int = 0,
    bundle: str | None = None,
) -> None:
    """Trains and judges a confidence map for a model that you already have, from its out-of-fold probabilities.

    nnU-Net leaves them behind: fold_K/validation/CASE.npz, by nnUNetv2_train ... --npz. D learns where this model errs.
    A verdict says whether D is better than the model's own probabilities, on cases that D did not learn from. Writes a
    bundle: configurations, D, calibration, and in docs the verdict with tables and curves. The model stays as it is.

    Args:
        images: their folder; CASE.nii.gz, or CASE_0000.nii.gz as nnU-Net names them.
        labels: their folder; CASE.nii.gz.
        probabilities: nnU-Net's results folder (that with fold_0), or a folder of CASE.npz, CASE.npy or 4D CASE.nii.gz.
        output: the new bundle; must not exist.
        order: the axes of the files, for instance cxyz; by default nnU-Net's czyx for .npz, xyzc for NIfTI.
        splits: nnU-Net's splits_final.json, where it is not found.
        in_sample: also take cases that the model trained on. D then sees too few errors.
        partial: leave out cases without image, label or probabilities.
        label_names: '{1: "liver", 2: "tumour"}'; by default what dataset.json says.
        modality: CT, MR, ...; by default what dataset.json says. CT is normalised by fixed units.
        spacing: of a grid for D, in mm, separated by commas, or native: each image's own grid. By default native, or
            where the images' spacings differ by more than a quarter the planned one. The segmentation stays as it is.
        parts: of the cross-validation.
        iterations: training steps of each D.
        level: the share of cases that the interval of the predicted Dice should hold.
        resamples: of the bootstrap over cases.
        seed: of training and bootstrap.
        bundle: the bundle whose configurations are taken; by default the project's.

    Raises:
        FileExistsError: output exists.
        FileNotFoundError: a folder is missing or empty.
        ValueError: an option is out of range, cases do not match, the model trained on them, or files hold no
            probabilities. Nothing is written then.
    """
    started = time.process_time(), os.times()
    source, target = bundle_folder(bundle), Path(str(output)).absolute()
    if target.exists():
        raise FileExistsError(f"{target} exists: name another folder with --output, or remove it")
    check_order(order)
    check_level(level)
    check_resamples(resamples)
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    given = _three(spacing)
    stored = find_probabilities(str(probabilities), splits, in_sample)
    dataset = stored_dataset(str(images), str(labels), stored, str(probabilities), partial)
    name_by_user(dataset, modality, label_names)
    known = {stored[case.name].fold for case in dataset.cases}
    names = [case.name for case in dataset.cases]
    random.Random(seed).shuffle(names)
    of_case = case_parts({case.name: stored[case.name].fold for case in dataset.cases}, parts, names)
    planned = write_bundle(target, source, dataset, stored, order)
    file = put_stored_cases(target, dataset, stored, of_case, order)
    put_stored_inference(target, given if spacing else planned)
    if planned and not spacing:
        grid = " x ".join(f"{step:g}" for step in planned)
        print(f"the images' spacings differ: D works on a grid of {grid} mm (--spacing native: on each image's own)")
    if None in known:
        print(
            "no folds are known: it is your word that the model did not train on these cases (--splits has it checked)"
        )

    count = max(of_case.values()) + 1
    weights = train_parts(target, count, iterations, seed)
    parser = read_training(target)
    final = target / "models" / "model_confidence.pt"
    voxels = sample_cases(parser, file, weights, seed)
    for part, path in enumerate(weights):
        put_curve(path, rising_curve_of(voxels, without=part))
    put_curve(final, rising_curve_of(voxels))
    evidence, temperatures = judge_parts(parser, file, weights, voxels)
    calibration = calibrate_evidence(evidence, level)
    names_of = {str(index): name for index, name in (dataset.label_names or {}).items()}
    calibration = replace(calibration, networks=tuple(file_digests(final)), label_names=names_of)
    calibration.save(final.with_name("calibration.json"))
    facts = {
        "command": fit_line(locals()),
        "data": f"{dataset.name}, {len(evidence)} cases, probabilities {describe(stored, str(probabilities))}",
        "cross-validation": f"{count} parts; D, temperature, curves and calibration are fitted without the case's part",
        "band": "3 mm on each side of a surface of label or prediction",
        "intervals": f"95 %, {resamples} bootstrap resamples of the cases, seed {seed}",
        "temperature": ", ".join(f"{value:.4f}" for value in temperatures),
        "D": f"{count + 1} trainings of {iterations} steps, {median_seconds(evidence):.3f} s a case",
        "processor time": f"{spent_minutes(started):.1f} minutes, without the intervals",
    }
    print(write_judgement(target / "docs", evidence, [*names_of.values()], facts, resamples, seed))
    print(
        f"\nwrote {target}, with docs/confidence.md; use it with\n  dam confidence apply --model {target} --images ..."
    )


def write_bundle(
    target: Path, source: Path, dataset: SourceDataset, stored: Mapping[str, FoldFile], order: str | None
) -> list[float] | None:
    """Checks the cases and their probabilities, plans for them and writes the bundle; gives the grid for D.

    Raises:
        ValueError: there are errors in the data; all are printed.
    """
    surveys, findings = check_dataset(dataset)
    for finding in [*at_level(findings, "error"), *at_level(findings, "warning")]:
        print(finding)
    if errors := at_level(findings, "error"):
        raise ValueError(f"{dataset.folder} has {len(errors)} errors, listed above: correct them; nothing was written")
    fingerprint = named_fingerprint(dataset, surveys)
    if dataset.label_names is None:
        dataset.label_names = {int(index): name for index, name in fingerprint.label_names.items()}
    check_stored(dataset, stored, order)
    plan = make_plan(fingerprint, D_VOXELS, several_from=0)
    write_planned_bundle(target, source, dataset, fingerprint, plan, findings)
    return common_grid(fingerprint.spacing_mm, plan.spacing)


def train_parts(target: Path, count: int, iterations: int, seed: int) -> list[Path]:
    """Trains a D without each part, and one on all cases; gives the files of the former."""
    configs = [target / "configs" / name for name in TRAINING]
    for part in range(count):
        run_bundle(configs, iterations=iterations, seed=seed, leave_out=part)
    run_bundle(configs, iterations=iterations, seed=seed)
    return [target / "output" / f"part{part}" / "model_confidence.pt" for part in range(count)]


def calibrate_evidence(evidence: Sequence[CaseEvidence], level: float) -> DiceCalibration:
    """The calibration of all cases; each case in place gets what the others' calibration makes of it.

    Too few cases leave the predicted Dice raw, and the terminal says so.
    """
    try:
        calibration = fit_cases(evidence, level)
        cross_calibrate(evidence, level)
    except ValueError as error:
        print(f"predicted Dice stays as D gives it, without an interval: {error}")
        calibration = DiceCalibration.identity(len(evidence[0].true_dice))
        for case in evidence:
            calibrate_case(case, calibration)
    return calibration


def read_training(target: Path) -> ConfigParser:
    """The configuration that D was trained with."""
    parser = ConfigParser()
    parser.read_config([str(target / "configs" / name) for name in TRAINING])
    parser.update({"bundle_root": str(target)})
    return parser


def describe(stored: Mapping[str, FoldFile], folder: str) -> str:
    """Which probabilities these are."""
    folds = sorted({entry.fold for entry in stored.values() if entry.fold is not None})
    name = nnunet_folder(folder).name
    return f"of {name}, folds {', '.join(map(str, folds))}" if folds else f"of {name}, no folds known"


def median_seconds(evidence: Sequence[CaseEvidence]) -> float:
    """Time of D on a case, the median."""
    seconds = sorted(case.seconds["D"] for case in evidence)
    return float(seconds[len(seconds) // 2])


def spent_minutes(started: tuple[float, os.times_result]) -> float:
    """Processor time of this process and those that it started, since then."""
    now, then = os.times(), started[1]
    return (sum(now[:4]) - sum(then[:4])) / 60


def fit_line(given: Mapping[str, Any]) -> str:
    """The command line that asked for this, without what was left at its default."""
    words = ["dam", "confidence", "fit"]
    for name, option in inspect.signature(fit).parameters.items():
        if given[name] != option.default:
            words += [f"--{name}", str(given[name])]
    return shlex.join(words)


def _three(spacing: Any) -> list[float] | None:
    if spacing in (None, "native"):
        return None
    try:
        values = [float(step) for step in (spacing.split(",") if isinstance(spacing, str) else spacing)]
    except (TypeError, ValueError):
        values = []
    if len(values) != 3 or min(values) <= 0:
        raise ValueError(
            f"spacing must be native, or three positive numbers of mm separated by commas, got {spacing!r}"
        )
    return values
