"""``python -m dam_components confidence``: is the confidence map right, and better than what S says for free?"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from tqdm import tqdm

from dam_components.data.hard_cases import HARD_KINDS, HardCased
from dam_components.metrics import fit_temperature
from dam_components.networks import load_weights
from dam_components.report.confidence_evidence import CaseEvidence, gather_case
from dam_components.report.confidence_files import describe_machine, shell_command, write_study
from dam_components.report.doubt_scores import SCORES, Segmenter, make_scores

__all__ = ["confidence", "read_bundle", "validation_temperature"]

CASE_SCORES = ("D", "softmax", "temperature")  # predict Dice; each costs next to nothing, so hard cases get them too
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
    resamples: int = 2000,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Measures how well D finds S's errors and predicts Dice on unseen cases, beside its rivals on the same S.

    Rivals: softmax, entropy, temperature (fitted on the validation cases), mc_dropout (8 passes), flips, and ensemble
    where other weights are given. Everything is compared on the grid and field of view that S sees. Writes
    confidence.csv, agreement.csv, cases.csv, confidence.png and confidence.md into the output folder.

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
        resamples: of the bootstrap over cases.
        seed: of dropout, hard cases, temperature's voxels and bootstrap.
        overrides: other entries of the configuration by name: '{"channels": [8, 16, 32, 64]}'.

    Raises:
        ValueError: for an option out of range; the message says what goes.
        FileNotFoundError: without the bundle, the data or the weights.
    """
    if str(hard).lower() not in ("true", "false"):
        raise ValueError(f"hard must be true or false, got {hard!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 case, got {limit}")
    spoilers = [
        HardCased(("image", "label"), kind, severity, seed) for kind in HARD_KINDS if str(hard).lower() == "true"
    ]
    asked = {name: value for name, value in locals().items() if name != "spoilers"}
    overlays, members = _words(config_overlay), _words(ensemble)
    options = {
        "dataset_dir": dataset_dir,
        "weights": weights,
        "confidence_weights": confidence_weights,
        "folds#fold": fold,
    }
    entries = dict(overrides or {}) | {name: value for name, value in options.items() if value is not None}
    names = [n for n in SCORES if n != "ensemble" or members] if rivals == "all" else ["D", *_words(rivals)]
    names = list(dict.fromkeys(names))  # D once

    parser = read_bundle(bundle, overlays, section=section, **entries)
    device = torch.device(parser.get_parsed_content("device"))
    network = parser.get_parsed_content("network")
    segmenter = Segmenter(
        network, parser.get_parsed_content("validate#inferer"), bool(parser.get_parsed_content("amp"))
    )
    steps = parser.get_parsed_content("validate#postprocessing").transforms
    temperature = 1.0
    if "temperature" in names:
        held = read_bundle(bundle, overlays, section="validation", **entries)
        cases = _cases(held.get_parsed_content("validate#dataset"), limit, "temperature")
        temperature = validation_temperature(cases, segmenter, device, seed)
    scores = make_scores(
        names,
        segmenter,
        next(step.confidence for step in steps if hasattr(step, "confidence")),  # ConfidenceMapd as configured
        temperature,
        [load_weights(copy.deepcopy(network), path).to(device).eval() for path in members],
        [int(axis) for axis in _words(flip_axes)],
        seed=seed,
    )
    cheap = {name: score for name, score in scores.items() if name in CASE_SCORES}

    clean: list[CaseEvidence] = []
    spoilt: list[CaseEvidence] = []
    for item in _cases(parser.get_parsed_content("validate#dataset"), limit, "confidence"):
        if not clean:  # the first passes are slower than the rest
            gather_case(item, segmenter, cheap, "warm-up", band_mm, device)
        clean.append(gather_case(item, segmenter, scores, "clean", band_mm, device))
        for spoil in spoilers:
            spoilt.append(gather_case(spoil(item), segmenter, cheap, spoil.kind, band_mm, device))

    labels = parser.get_parsed_content("label_names")
    folds = parser.get_parsed_content("folds")
    facts = {
        "command": shell_command(asked),
        "data": f"{Path(str(parser.get_parsed_content('dataset_dir'))).name}, section {section}, {len(clean)} cases"
        + (f", each made hard in {len(spoilers)} ways, severity {severity:g}" if spoilers else ""),
        "folds": ", ".join(f"{key} {value}" for key, value in folds.items()),
        "band": f"{band_mm:g} mm on each side of a surface of label or prediction",
        "intervals": f"95 %, {resamples} bootstrap resamples of the cases, seed {seed}",
        **({"temperature": f"{temperature:.4f}"} if "temperature" in names else {}),
        "machine": describe_machine(device),
    }
    class_names = [labels[index] for index in sorted(labels, key=int)]
    print(write_study(output_dir, clean, spoilt, class_names, list(cheap), facts, resamples, seed))


def read_bundle(bundle: str | os.PathLike, overlays: Sequence[str] = (), **overrides: Any) -> ConfigParser:
    """The bundle's evaluation, as ``monai.bundle run`` would read it: train, evaluate, overlays, overrides.

    Raises:
        FileNotFoundError: if one of the files is missing.
        ValueError: if an override names no entry.
    """
    root = Path(bundle)
    files = [root / "configs" / "train.json", root / "configs" / "evaluate.json", *(Path(file) for file in overlays)]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"no configuration {file}: name the bundle's folder with --bundle")
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    for name in overrides:
        if name not in parser:
            raise ValueError(f"no entry of the configuration is called {name}: see {files[0]}")
    parser.update({"bundle_root": str(root), **overrides})
    return parser


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


def _cases(dataset: Any, limit: int | None, what: str) -> Iterator[Mapping[Any, Any]]:
    """The first cases with a progress bar; they are loaded one at a time."""
    count = len(dataset) if limit is None else min(limit, len(dataset))
    if not count:
        remedy = "leave temperature out of --rivals, or let folds#validation hold cases"
        raise ValueError(f"no case for {what}: {remedy if what == 'temperature' else 'name another --section'}")
    return (dataset[i] for i in tqdm(range(count), desc=what, unit="case"))


def _words(value: Any) -> list[str]:
    """What a person separates by commas, which the command line gives as text, a number, or a tuple already."""
    parts = value if isinstance(value, (list, tuple)) else str(value).split(",")
    return [str(part).strip() for part in parts if str(part).strip()]
