"""What cropping to the box of the voxels that are not 0 is worth: Dice, time and memory with it and without.

``python -m benchmarks.nonzero_box --data DATA`` plans a dataset both ways, trains both with as many steps, and segments
the test cases of one fold. Each training and each case is a process of its own, whose processor time and peak memory
are what is told; both include some seconds and some hundred MB of Python and its libraries.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import fire
import nibabel as nib
import numpy as np
import pandas as pd

from benchmarks.forked import started
from benchmarks.tables import write_table
from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.commands.planning import name_by_user, named_fingerprint
from dam_components.data import decathlon_split
from dam_components.data.dataset_layouts import read_dataset
from dam_components.metrics import case_metrics
from dam_components.planning.dataset_check import check_dataset
from dam_components.planning.plan import make_plan
from dam_components.planning.planned_bundle import write_planned_bundle

__all__ = ["main"]

WAYS = {"box": True, "whole image": False}
SPLIT = {"fold": 1, "folds": 3, "validation": 0, "seed": 0}


def train(bundle: Path, epochs: int, log: Path) -> dict[str, float]:
    """Trains the planned bundle, and gives processor seconds and memory."""
    words = ["monai.bundle", "run", "--config_file", str(bundle / "configs" / "train.json")]
    entries = {"epochs": epochs, "folds": SPLIT, "output_dir": bundle.parent / "run" / bundle.name}
    ended = started([*words, *(word for name, value in entries.items() for word in (f"--{name}", str(value)))], log)
    if ended.status:
        raise RuntimeError(f"the training of {bundle} failed: {ended.told[-2000:]}")
    return {"seconds": ended.processor_s, "peak_mb": ended.grown_mb}


def segment(bundle: Path, case: dict[str, str], names: dict[int, str], log: Path) -> dict[str, object]:
    """Segments a case, and gives its Dice by class, processor seconds and memory."""
    out = bundle.parent / "out" / bundle.name
    words = ["monai.bundle", "run", "--config_file", str(bundle / "configs" / "inference.json")]
    ended = started([*words, "--dataset_dir", case["image"], "--output_dir", str(out)], log)
    if ended.status:
        raise RuntimeError(f"the inference of {case['case']} failed: {ended.told[-2000:]}")
    found = np.asarray(nib.load(out / case["case"] / f"{case['case']}_seg.nii.gz").dataobj)
    label = nib.load(case["label"])
    truth = np.asarray(label.dataobj).reshape(found.shape)
    rows = case_metrics(found, truth, [float(step) for step in label.header.get_zooms()[:3]], names)
    dice = {f"Dice {row['label']}": row["dice"] for row in rows}
    return {**dice, "seconds": ended.processor_s, "peak_mb": ended.grown_mb}


def windows(shape: list[int], patch: list[int], overlap: float = 0.5) -> int:
    """Windows that cover an image.

    Example:
        >>> windows([100, 64], [64, 64])
        3
    """
    steps = [max(1, int(size * (1 - overlap))) for size in patch]
    counts = (math.ceil(max(0, n - size) / step) + 1 for n, size, step in zip(shape, patch, steps, strict=True))
    return math.prod(counts)


def main(data: str, output_dir: str, steps: int = 150, label_names: dict[int, str] | None = None) -> None:
    """Both ways, and a table.

    Args:
        data: a labelled dataset that is mostly blank.
        output_dir: where the tables go.
        steps: of each training.
        label_names: of the classes; by default what the dataset says.
    """
    rows = []
    dataset = read_dataset(data)
    name_by_user(dataset, None, label_names)
    surveys, findings = check_dataset(dataset)
    fingerprint = named_fingerprint(dataset, surveys)
    with tempfile.TemporaryDirectory() as name:
        for way, crop in WAYS.items():
            bundle = Path(name, way.replace(" ", "_"))
            planned = make_plan(fingerprint, 150_000, crop_nonzero=crop, several_from=0)
            write_planned_bundle(bundle, bundle_folder(), dataset, fingerprint, planned, findings)
            plan, names = planned.as_json(), fingerprint.label_names
            cases = {part: decathlon_split(bundle / "data", part, **SPLIT) for part in ("train", "test")}
            epochs = max(1, round(steps / max(1, len(cases["train"]) // plan["batch_size"])))
            told = {"way": way, "patch": "x".join(map(str, plan["patch_size"]))}
            told["windows"] = windows(plan["median_shape"], plan["patch_size"])
            rows.append({**told, "what": f"training, {steps} steps", **train(bundle, epochs, Path(name, "log"))})
            print(rows[-1], flush=True)
            for case in cases["test"]:
                classes = {int(index): label for index, label in names.items()}
                rows.append({**told, "what": case["case"], **segment(bundle, case, classes, Path(name, "log"))})
                print(rows[-1], flush=True)
    write(pd.DataFrame(rows), output_dir, Path(data).name)


def write(table: pd.DataFrame, output_dir: str, name: str) -> None:
    """The table of a dataset, with the mean over the cases at its end."""
    cases = table[~table["what"].str.startswith("training")]
    means = cases.groupby(["way", "patch", "windows"], sort=False).mean(numeric_only=True).reset_index()
    dice = [column for column in table.columns if column.startswith("Dice ")]
    whole = pd.concat([table, means.assign(what=f"mean of {cases['what'].nunique()} cases")])
    whole["mean Dice"] = whole[dice].mean(axis=1)
    split = f"fold {SPLIT['fold']} of {SPLIT['folds']}, seed {SPLIT['seed']}, one training each"
    write_table(whole, output_dir, "nonzero_box", f"With and without the box of what is not 0, {name}, {split}")


if __name__ == "__main__":
    fire.Fire(main)
