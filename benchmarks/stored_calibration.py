"""What D's calibration error near the structures is made of, and how far another rising function would take it.

``python -m benchmarks.stored_calibration --model MODEL --output DIR``, after ``dam confidence fit``
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.isotonic import IsotonicRegression
from tqdm import tqdm

from benchmarks.tables import write_table
from dam_components.commands.confidence_model import read_training
from dam_components.confidence.case_evidence import image_spacing
from dam_components.confidence.cross_judgement import case_reader, confidence_of, judge_voxels
from dam_components.data import stored_training_cases
from dam_components.metrics import calibration_counts, error_band, pooled_calibration_error

STRUCTURES, PREDICTION, VOLUME = "near the structures", "near the predicted surface", "everywhere"
REGIONS = (STRUCTURES, PREDICTION, VOLUME)
SCORES = ("D", "softmax")
EVERY = 8  # of the whole volume's voxels one in so many is read

Voxels = dict[str, np.ndarray]
"""By region: confidence of D, of the softmax, and whether S is right, ``(3, voxels)``."""
Calibrate = Callable[[np.ndarray], np.ndarray]


def monotone(confidence: np.ndarray, right: np.ndarray) -> Calibrate:
    """Any rising function."""
    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(confidence, right).predict


def read_voxels(model: Path) -> list[tuple[int, Voxels]]:
    """Part and voxels of every case, judged by the D that did not learn from its part."""
    parser, file, found = read_training(model), model / "data" / "stored_cases.json", []
    read = case_reader(parser)
    for part in sorted({case["part"] for case in stored_training_cases(file)}):
        confidence = confidence_of(parser, model / "output" / f"part{part}" / "model_confidence.pt")
        for listed in tqdm(stored_training_cases(file, only=part), desc=f"part {part}", unit="case"):
            item = read(listed)
            case, values = judge_voxels(item, confidence)
            label, predicted = item["label"].as_tensor()[0].long().numpy(), case.predicted[0, 0].numpy()
            spacing = image_spacing(item["image"], label.ndim)
            inside = [error_band(truth, predicted, spacing) for truth in (label, predicted)]
            kept = [values[:, where] for where in inside] + [values.reshape(3, -1)[:, ::EVERY]]
            found.append((part, dict(zip(REGIONS, kept, strict=True))))
    return found


def errors(cases: Sequence[tuple[int, Voxels]], score: int, calibrations: Sequence[Calibrate]) -> list[float]:
    """Calibration error in each region, each part's cases behind its calibration."""
    found = []
    for region in REGIONS:
        counts = [
            calibration_counts(np.clip(calibrations[part](voxels[region][score]), 0, 1), voxels[region][2] > 0)
            for part, voxels in cases
        ]
        found.append(pooled_calibration_error(np.sum(counts, axis=0)))
    return found


def fit_parts(cases: Sequence[tuple[int, Voxels]], score: int, region: str, own: bool) -> list[Calibrate]:
    """A calibration for each part, of the other parts' voxels in the region; of all parts' if it may know its own."""
    found = []
    for part in sorted({part for part, _ in cases}):
        others = np.concatenate([voxels[region] for of, voxels in cases if own or of != part], axis=1)
        found.append(monotone(others[score], others[2]))
    return found


def table(cases: Sequence[tuple[int, Voxels]]) -> pd.DataFrame:
    """A row a score and calibration."""
    rows = []
    for score, name in enumerate(SCORES):
        start = {"score": name, "calibrated": "as it is", "knows the case": ""}
        same: list[Calibrate] = [lambda values: values] * (1 + max(part for part, _ in cases))
        rows.append(start | dict(zip(REGIONS, errors(cases, score, same), strict=True)))
        for region, own in itertools.product(REGIONS, (False, True)):
            values = errors(cases, score, fit_parts(cases, score, region, own))
            known = {"calibrated": f"again, {region}", "knows the case": "yes" if own else "no"}
            rows.append(start | known | dict(zip(REGIONS, values, strict=True)))
    return pd.DataFrame(rows).rename(columns={region: f"ECE {region}" for region in REGIONS})


def stored_calibration(model: str, output: str) -> None:
    """Writes calibration_by_region.md and .csv, and prints how much of the band the label's surface alone makes.

    Args:
        model: of ``dam confidence fit``, with its ``output`` folder.
        output: where to.
    """
    torch.set_num_threads(1)
    cases = read_voxels(Path(model))
    sums = {
        region: np.sum([(of[region].shape[1], (of[region][2] == 0).sum()) for _, of in cases], axis=0)
        for region in REGIONS
    }
    voxels, wrong = 1 - sums[PREDICTION] / sums[STRUCTURES]
    bias = [(of[PREDICTION][0] - of[PREDICTION][2]).mean() for _, of in cases]
    title = (
        f"ECE by region, {len(cases)} cases. Of the voxels within 3 mm of a surface of label or prediction "
        f"{voxels:.0%}, and {wrong:.0%} of the wrong ones, are near the label's surface alone. D minus accuracy near "
        f"the predicted surface, by case: mean {np.mean(bias):+.3f}, standard deviation {np.std(bias):.3f}"
    )
    write_table(table(cases), output, "calibration_by_region", title, command="stored_calibration --model MODEL")


if __name__ == "__main__":
    import fire

    fire.Fire(stored_calibration)
