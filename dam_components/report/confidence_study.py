"""``python -m dam_components confidence``: is the confidence map right, and better than what S says for free?"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dam_components.chosen_class import chosen_class
from dam_components.data.hard_cases import HARD_KINDS, HardCased
from dam_components.metrics import DiceCalibration, fit_temperature, shared_errors
from dam_components.networks import load_weights
from dam_components.report.confidence_evidence import CALIBRATED, CaseEvidence, calibrate_case, gather_case
from dam_components.report.confidence_files import describe_machine, shell_command, write_study
from dam_components.report.doubt_scores import SCORES, Segmenter, make_scores
from dam_components.report.study_setup import (
    calibration_file,
    comma_words,
    confidence_map,
    load_models,
    named_entries,
    read_bundle,
    study_cases,
)

__all__ = ["confidence", "validation_temperature"]

# predict Dice; each costs next to nothing, so hard cases get them too
CASE_SCORES = ("D", "softmax", "temperature", "untrained")
VOXELS_A_CASE = 200_000  # for the temperature


def confidence(
    bundle: str = "bundle",
    dataset_dir: str | None = None,
    output_dir: str = "output/confidence",
    weights: str | None = None,
    confidence_weights: str | None = None,
    config_overlay: str | Sequence[str] = (),
    section: str = "test",
    fold: int | None = None,
    rivals: str | Sequence[str] = "all",
    hard: bool | str = False,
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
    field of view that S sees. Writes confidence.csv, agreement.csv, cases.csv, confidence.png and confidence.md into
    the output folder.

    Args:
        bundle: the bundle's folder.
        dataset_dir: the data, Decathlon layout; by default the configuration's.
        output_dir: where the results go.
        weights: of S; by default the configuration's.
        confidence_weights: of D; likewise.
        config_overlay: configuration files on top, tasks/promise12.json for instance, separated by commas.
        section: of the fold: test, validation, train or all.
        fold: by default the configuration's.
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
    overlays, members = comma_words(config_overlay), comma_words(ensemble)
    entries = named_entries(dataset_dir, weights, confidence_weights, fold, overrides)
    names = [n for n in SCORES if n != "ensemble" or members] if rivals == "all" else ["D", *comma_words(rivals)]
    names = list(dict.fromkeys(names))  # D once

    parser = read_bundle(bundle, overlays, section=section, **entries)
    labels = parser.get_parsed_content("label_names")
    file = calibration_file(parser) if calibration is None else Path(calibration)
    learnt = DiceCalibration.load(file, len(labels)) if calibration is not None or file.is_file() else None
    segmenter, to_confidence, device = load_models(parser)
    temperature = 1.0
    if "temperature" in names:
        held = read_bundle(bundle, overlays, section="validation", **entries)
        cases = study_cases(
            held.get_parsed_content("validate#dataset"),
            limit,
            "temperature",
            "leave temperature out of --rivals, or let folds#validation hold cases",
        )
        temperature = validation_temperature(cases, segmenter, device, seed)
    others = [load_weights(copy.deepcopy(segmenter.network), path).to(device).eval() for path in members]
    untrained = None
    if "untrained" in names:
        drawn = {**entries, "confidence_network": "$@confidence_network_def.to(@device)"}
        untrained = confidence_map(read_bundle(bundle, overlays, section=section, **drawn))
    scores = make_scores(
        names,
        segmenter,
        to_confidence,
        temperature,
        others,
        [int(axis) for axis in comma_words(flip_axes)],
        seed=seed,
        untrained=untrained,
    )
    cheap = {name: score for name, score in scores.items() if name in CASE_SCORES}

    clean: list[CaseEvidence] = []
    spoilt: list[CaseEvidence] = []
    errors: list[tuple[int, int]] = []
    for item in study_cases(parser.get_parsed_content("validate#dataset"), limit, "confidence"):
        if not clean:  # the first passes are slower than the rest
            gather_case(item, segmenter, cheap, "warm-up", band_mm, device)
        clean.append(gather_case(item, segmenter, scores, "clean", band_mm, device))
        if others:
            errors.append(case_shared_errors(item, segmenter, others, device))
        for spoil in spoilers:
            spoilt.append(gather_case(spoil(item), segmenter, cheap, spoil.kind, band_mm, device, regions=()))
    if learnt is not None:
        for case in [*clean, *spoilt]:
            calibrate_case(case, learnt)

    folds = parser.get_parsed_content("folds")
    facts = {
        "command": shell_command("confidence", asked),
        "data": f"{Path(str(parser.get_parsed_content('dataset_dir'))).name}, section {section}, {len(clean)} cases"
        + (f", each made hard in {len(spoilers)} ways, severity {severity:g}" if spoilers else ""),
        "folds": ", ".join(f"{key} {value}" for key, value in folds.items()),
        "band": f"{band_mm:g} mm on each side of a surface of label or prediction",
        "intervals": f"95 %, {resamples} bootstrap resamples of the cases, seed {seed}",
        **({"temperature": f"{temperature:.4f}"} if "temperature" in names else {}),
        **({"errors": shared_words(errors)} if others else {}),
        **({CALIBRATED: f"by {file.name}, {interval_words(learnt)}"} if learnt is not None else {}),
        "machine": describe_machine(device),
    }
    class_names = [labels[index] for index in sorted(labels, key=int)]
    told = [*cheap, *([CALIBRATED] if learnt is not None else [])]
    print(write_study(output_dir, clean, spoilt, class_names, told, facts, resamples, seed))


def validation_temperature(
    cases: Iterator[Mapping[Any, Any]], segmenter: Segmenter, device: torch.device | str = "cpu", seed: int = 0
) -> float:
    """The temperature fitted on voxels of preprocessed cases, at most 200000 of each, drawn at random; see
    :func:`~dam_components.metrics.fit_temperature`."""
    draw = torch.Generator().manual_seed(seed)
    logits, labels = [], []
    for item in cases:
        voxels = segmenter(torch.as_tensor(item["image"])[None].float().to(device))[0].flatten(1).T.cpu()
        kept = torch.randperm(len(voxels), generator=draw)[:VOXELS_A_CASE]
        logits.append(torch.as_tensor(voxels)[kept])
        labels.append(torch.as_tensor(item["label"]).flatten().long().cpu()[kept])
    return fit_temperature(torch.cat(logits), torch.cat(labels))


def case_shared_errors(
    item: Mapping[Any, Any], segmenter: Segmenter, others: Sequence[nn.Module], device: torch.device | str
) -> tuple[int, int]:
    """Of a preprocessed case: S's wrong voxels, and those that all other networks call the same; see
    :func:`~dam_components.metrics.shared_errors`."""
    image = torch.as_tensor(item["image"])[None].float().to(device)
    called, *repeats = (chosen_class(segmenter(image, network))[:, 0] for network in (segmenter.network, *others))
    return shared_errors(called, torch.as_tensor(item["label"]).long().to(device), repeats)


def shared_words(errors: Sequence[tuple[int, int]]) -> str:
    """What the report says of the errors that networks share, over all cases."""
    wrong, shared = (sum(counts) for counts in zip(*errors, strict=True))
    share = shared / max(wrong, 1)
    return f"{share:.1%} of S's {wrong} wrong voxels are called the same by every network of the ensemble"


def interval_words(calibration: DiceCalibration) -> str:
    """What the report says of the calibration's interval."""
    return "no interval" if calibration.level is None else f"with intervals that should hold {calibration.level:.0%}"
