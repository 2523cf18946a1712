"""``python -m dam_study confidence``: is the confidence map right, and better than what S says for free?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.confidence.trained_bundle import comma_numbers, comma_words, fold_numbers, in_fold, named_entries
from dam_components.data.hard_cases import HARD_KINDS, HardCased
from dam_components.metrics.case_bootstrap import check_resamples
from dam_study.confidence.fold_study import FoldStudy, check_folds, fit_temperatures
from dam_study.confidence.rival_scores import ALL_SCORES, check_names
from dam_study.confidence.study_facts import shell_command, study_facts
from dam_study.confidence.study_files import write_study

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

    Rivals: softmax, entropy, temperature (fitted on the validation cases, or without any on the cases of the other
    folds), untrained (D before any training), mc_dropout (8 passes), flips, and ensemble where other weights are given.
    Everything is compared on the grid and field of view that S sees. Of several folds, each with an S and a D of its
    own, all cases count as one study. Writes confidence.csv, agreement.csv, cases.csv, confidence.png and confidence.md
    into the output folder.

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
    asked = dict(locals())
    check_resamples(resamples)
    axes = comma_numbers(flip_axes, "flip_axes")
    root, members = bundle_folder(bundle), comma_words(ensemble)
    spoilers = _spoilers(hard, severity, seed)
    studies = [
        FoldStudy(
            root,
            comma_words(overlay),
            section,
            in_fold(named_entries(data, weights, confidence_weights, number, overrides), number),
            in_fold(members, number),
            in_fold(calibration, number),
            limit,
        )
        for number in fold_numbers(fold)
    ]
    check_folds(studies)
    names = _score_names(rivals, bool(members))
    check_names(names, len(members))
    if "temperature" in names:
        fit_temperatures(studies, seed)
    for study in studies:
        study.gather(names, spoilers, axes, band_mm, seed)

    facts = {"command": shell_command("confidence", asked)}
    facts |= study_facts(studies, len(spoilers), severity, band_mm, f"{resamples} bootstrap resamples", seed)
    folder = root / "output" / "confidence" if output is None else output
    print(write_study(folder, studies, facts, resamples, seed))


def _spoilers(hard: Any, severity: float, seed: int) -> list[HardCased]:
    """What makes hard cases, where they are asked for."""
    if str(hard).lower() not in ("true", "false"):
        raise ValueError(f"hard must be true or false, got {hard!r}")
    kinds = HARD_KINDS if str(hard).lower() == "true" else ()
    return [HardCased(("image", "label"), kind, severity, seed) for kind in kinds]


def _score_names(rivals: str | Sequence[str], ensemble: bool) -> list[str]:
    """D and the rivals that are asked for, each once; all of them without the ensemble where it has no members."""
    if rivals == "all":
        return [name for name in ALL_SCORES if name != "ensemble" or ensemble]
    return list(dict.fromkeys(["D", *comma_words(rivals)]))
