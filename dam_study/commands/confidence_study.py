"""``python -m dam_study confidence``: is the confidence map right, and better than what S says for free?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.confidence.case_evidence import CALIBRATED
from dam_components.confidence.trained_bundle import comma_words, in_fold, named_entries
from dam_components.data.hard_cases import HARD_KINDS, HardCased
from dam_components.metrics import DiceCalibration
from dam_study.confidence.fold_study import CASE_SCORES, FoldStudy, check_folds
from dam_study.confidence.rival_scores import ALL_SCORES
from dam_study.confidence.study_files import describe_machine, shell_command, write_study

__all__ = ["confidence"]


def confidence(
    bundle: str | None = None,
    data: str | None = None,
    output: str | None = None,
    weights: str | None = None,
    confidence_weights: str | None = None,
    overlay: str | Sequence[str] = (),
    section: str = "test",
    fold: int | str | Sequence[int] | None = None,
    rivals: str | Sequence[str] = "all",
    hard: bool = False,
    limit: int | None = None,
    ensemble: str | Sequence[str] = (),
    flip_axes: int | str | Sequence[int] = 0,
    band_mm: float = 3.0,
    severity: float = 1.0,
    calibration: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Measures how well D finds S's errors and predicts Dice on unseen cases, beside its rivals on the same S.

    Rivals: softmax, entropy, temperature (fitted on the validation cases), untrained (D before any training),
    mc_dropout (8 passes), flips, and ensemble where other weights are given. Everything is compared on the grid and
    field of view that S sees. Of several folds, each with an S and a D of its own, all cases count as one study. Writes
    confidence.csv, agreement.csv, cases.csv, confidence.png and confidence.md into the output folder.

    Args:
        bundle: the bundle's folder; by default the project's, beside the package.
        data: the dataset, Decathlon layout; by default the configuration's.
        output: where the results go; by default output/confidence in the bundle.
        weights: of S; by default the configuration's.
        confidence_weights: of D; likewise.
        overlay: configuration files on top, tasks/promise12.json for instance, separated by commas.
        section: of the fold: test, validation, train or all.
        fold: by default the configuration's; several, separated by commas, are pooled. {fold} in the name of a file, or
            in overrides, stands for the number of each: --fold 0,1 --weights "models/fold{fold}/model.pt".
        rivals: names separated by commas, or all.
        hard: also predict the Dice of each case made hard in every way of dam_components.data.HARD_KINDS.
        limit: take only this many cases of a section, to try things out.
        ensemble: weights of networks like S trained apart, separated by commas.
        flip_axes: spatial axes of flips, separated by commas; the default is the one that training flips.
        band_mm: width of the band around the structures.
        severity: of hard cases, 1 is hard.
        calibration: of D's predicted Dice, a file that the command calibrate wrote from other cases than these; by
            default calibration.json beside D's weights, if it is there. Adds the score "D, calibrated".
        resamples: of the bootstrap over cases.
        seed: of dropout, hard cases, temperature's voxels and bootstrap.
        overrides: other entries of the configuration by name: '{"channels": [8, 16, 32, 64]}'.

    Raises:
        ValueError: for an option out of range; the message says what goes.
        FileNotFoundError: without the bundle, the data or the weights.
    """
    if str(hard).lower() not in ("true", "false"):
        raise ValueError(f"hard must be true or false, got {hard!r}")
    spoilers = [
        HardCased(("image", "label"), kind, severity, seed) for kind in HARD_KINDS if str(hard).lower() == "true"
    ]
    asked = {name: value for name, value in locals().items() if name != "spoilers"}
    root = bundle_folder(bundle)
    overlays, members = comma_words(overlay), comma_words(ensemble)
    names = [n for n in ALL_SCORES if n != "ensemble" or members] if rivals == "all" else ["D", *comma_words(rivals)]
    names = list(dict.fromkeys(names))  # D once
    axes = [int(axis) for axis in comma_words(flip_axes)]
    studies = [
        FoldStudy(
            root,
            overlays,
            section,
            in_fold(named_entries(data, weights, confidence_weights, number, overrides), number),
            in_fold(members, number),
            in_fold(calibration, number),
            limit,
        )
        for number in ([None] if fold is None else [int(word) for word in comma_words(fold)])
    ]
    check_folds(studies)
    for study in studies:
        study.gather(names, spoilers, axes, band_mm, seed)

    first = studies[0]
    clean = [case for study in studies for case in study.clean]
    spoilt = [case for study in studies for case in study.spoilt]
    errors = [counts for study in studies for counts in study.errors]
    temperatures = [f"{study.temperature:.4f}" for study in studies if study.temperature is not None]
    folds = first.parser.get_parsed_content("folds") | {"fold": ", ".join(str(study.fold) for study in studies)}
    dataset = Path(str(first.parser.get_parsed_content("dataset_dir"))).name
    facts = {
        "command": shell_command("confidence", asked),
        "data": f"{dataset}, section {section}, {len(clean)} cases"
        + (f", each made hard in {len(spoilers)} ways, severity {severity:g}" if spoilers else ""),
        "folds": ", ".join(f"{key} {value}" for key, value in folds.items()),
        "band": f"{band_mm:g} mm on each side of a surface of label or prediction",
        "intervals": f"95 %, {resamples} bootstrap resamples of the cases, seed {seed}",
        **({"temperature": ", ".join(temperatures)} if temperatures else {}),
        **({"errors": shared_words(errors)} if errors else {}),
        **({CALIBRATED: f"by {first.calibration_file.name}, {interval_words(first.learnt)}"} if first.learnt else {}),
        "machine": describe_machine(first.device),
    }
    labels = first.parser.get_parsed_content("label_names")
    class_names = [labels[index] for index in sorted(labels, key=int)]
    told = [name for name in (*CASE_SCORES, CALIBRATED) if name in clean[0].predicted_dice]
    folder = root / "output" / "confidence" if output is None else output
    print(write_study(folder, clean, spoilt, class_names, told, facts, resamples, seed))


def shared_words(errors: Sequence[tuple[int, int]]) -> str:
    """What the report says of the errors that networks share, over all cases."""
    wrong, shared = (sum(counts) for counts in zip(*errors, strict=True))
    share = shared / max(wrong, 1)
    return f"{share:.1%} of S's {wrong} wrong voxels are called the same by every network of the ensemble"


def interval_words(calibration: DiceCalibration) -> str:
    """What the report says of the calibration's interval."""
    return "no interval" if calibration.level is None else f"with intervals that should hold {calibration.level:.0%}"
