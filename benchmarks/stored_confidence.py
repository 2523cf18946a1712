"""D behind another model on held-out cases: behind each of its networks and their mean, and the shipped D as it is.

``python -m benchmarks.stored_confidence --model MODEL --images DIR --labels DIR --probabilities DIR --output DIR``
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.bundle import ConfigParser
from tqdm import tqdm

from dam_components.atomic_files import write_whole
from dam_components.commands.confidence_model import read_training
from dam_components.confidence.case_evidence import CALIBRATED, CaseEvidence, calibrate_case, gather_case
from dam_components.confidence.cross_judgement import STORED_SCORES, case_reader, confidence_of, stored_logits
from dam_components.confidence.doubt_scores import Doubt, make_scores
from dam_components.confidence.evidence_table import agreement_table, case_rows, score_table
from dam_components.data.probability_cases import find_probabilities
from dam_components.metrics import DiceCalibration
from dam_components.planning.stored_dataset import stored_dataset

SHIPPED = Path(__file__).resolve().parents[1] / "bundle"


def shipped_confidence(bundle: Path = SHIPPED) -> Any:
    """The map of the shipped D, which was trained behind another S."""
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / name) for name in ("train.json", "evaluate.json")])
    parser.update({"bundle_root": str(bundle)})
    return confidence_of(parser, bundle / "models" / "model_confidence.pt")


def gather(
    model: Path, images: str, labels: str, folder: Path, temperature: float, shipped: bool
) -> list[CaseEvidence]:
    """Evidence of every held-out case."""
    parser = read_training(model)
    read, stored = case_reader(parser), find_probabilities(folder, in_sample=True)
    scores: dict[str, Doubt] = make_scores(
        [name for name in STORED_SCORES if name != "isotonic"],
        confidence_of(parser, model / "models" / "model_confidence.pt"),
        temperature,
        untrained=confidence_of(parser, None),
    )
    if shipped:
        other = shipped_confidence()
        scores["shipped D"] = lambda case: 1 - other(case.probabilities, case.image)
    calibration = DiceCalibration.load(model / "models" / "calibration.json")
    evidence = []
    for case in tqdm(stored_dataset(images, labels, stored, folder).cases, desc=folder.name, unit="case"):
        files = {"image": [*map(str, case.images)], "label": str(case.label), "case": case.name}
        item = read({**files, "probabilities": str(stored[case.name].file)})
        evidence.append(gather_case(item, stored_logits(item), scores))
        calibrate_case(evidence[-1], calibration)
    return evidence


def processor_seconds(model: Path, images: str, labels: str, folder: Path, cases: int = 20) -> float:
    """Of D on a case, mean."""
    parser = read_training(model)
    read, stored = case_reader(parser), find_probabilities(folder, in_sample=True)
    confidence = confidence_of(parser, model / "models" / "model_confidence.pt")
    spent = []
    for case in stored_dataset(images, labels, stored, folder).cases[: cases + 1]:
        files = {"image": [*map(str, case.images)], "label": str(case.label), "case": case.name}
        item = read({**files, "probabilities": str(stored[case.name].file)})
        p, x = (item[key].as_tensor()[None] for key in ("probabilities", "image"))
        started = time.process_time()
        confidence(p, x)
        spent.append(time.process_time() - started)
    return float(np.mean(spent[1:]))


def stored_confidence(
    model: str,
    images: str,
    labels: str,
    probabilities: str,
    output: str,
    temperature: float = 1.0,
    shipped: bool = False,
    resamples: int = 2000,
) -> None:
    """Writes held_out.csv, held_out_dice.csv and seconds.json.

    Args:
        model: of ``dam confidence fit``.
        images: of the held-out cases.
        labels: of these.
        probabilities: a folder with a folder for each network, and ``mean``.
        output: where to.
        temperature: fitted on the model's out-of-fold probabilities.
        shipped: also the shipped hippocampus D.
        resamples: of the bootstrap over cases.
    """
    torch.set_num_threads(1)
    root, tables, dice = Path(model), [], []
    folders = sorted(path for path in Path(probabilities).iterdir() if path.is_dir())
    for folder in folders:
        evidence = gather(root, images, labels, folder, temperature, shipped)
        tables.append(score_table(evidence, resamples).drop(columns="relative_time").assign(S=folder.name))
        told = ["D", "softmax", CALIBRATED] + (["shipped D"] if shipped else [])
        names = [*json.loads((root / "models" / "calibration.json").read_text())["label_names"].values()]
        dice.append(agreement_table(case_rows(evidence, names, told)).assign(S=folder.name))
    target = Path(output)
    write_whole(target / "held_out.csv", pd.concat(tables).to_csv(index=False))
    write_whole(target / "held_out_dice.csv", pd.concat(dice).to_csv(index=False))
    seconds = {"D": processor_seconds(root, images, labels, folders[-1])}
    write_whole(target / "seconds.json", json.dumps(seconds, indent=1) + "\n")
    print(pd.concat(tables)[["S", "region", "score", "auroc", "aupr", "ece"]].to_string(), seconds)


if __name__ == "__main__":
    import fire

    fire.Fire(stored_confidence)
