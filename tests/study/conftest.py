"""Cells as the experiment command leaves them, with numbers known in advance, and the report on them."""

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dam_components.metrics import write_cases_csv
from dam_study.commands.results import report

CONFIG = {"protocol": "kfold", "machine": "x86_64, 2 cores", "libraries": {"torch": "2.13"}}
ENTRIES = {"epochs": 3, "learning_rate": 0.01, "label_names": {"1": "head", "2": "tail"}, "folds": {"folds": 2}}


def make_cell(
    runs: Path,
    system: str,
    dice: dict,
    fold: int = 0,
    seed: int = 0,
    data: str = "fake",
    name: str = "ab12cd34",
    done: bool = True,
    asd_mm: dict | None = None,
    images: bool = False,
    **entries,
) -> Path:
    """A cell whose ``dice`` and ``asd_mm`` are by (case, label, region); an ASD is 1 if not given, the rest follows."""
    folder = runs / data / system / f"fold{fold}-seed{seed}-{name}"
    rows = []
    for (case, label, region), value in dice.items():
        asd = (asd_mm or {}).get((case, label, region), 1.0)
        rows.append(
            {"case": case, "label": label, "region": region, "dice": value, "asd_mm": asd, "hd95_mm": 2 * asd}
            | {"rvd_percent": 5.0, "volume_ml": 1.05, "reference_ml": 1.0}
        )
    write_cases_csv(folder / "metrics.csv", rows)
    curves = [
        {"epoch": k, "train_loss": 1 / k, "segmentation_loss": 1 / k, "confidence_loss": 0.5}
        | {"adversarial_loss": 0.0, "val_mean_dice": 0.8 + 0.01 * k, "learning_rate": 0.01, "seconds": 1.0}
        for k in (1, 2, 3)
    ]
    write_cases_csv(folder / "curves.csv", curves)
    config = {"system": system, "data": data, "fold": fold, "seed": seed, "hash": name, **CONFIG}
    config["command"] = f"python -m dam_study experiment --system {system} --fold {fold} --seed {seed}"
    config["entries"] = {**ENTRIES, "folds": {**ENTRIES["folds"], "fold": fold}, "seed": seed, **entries}
    (folder / "config.json").write_text(json.dumps(config))
    if images:
        make_images(folder, sorted({case for case, *_ in dice}))
    if done:
        (folder / "done.json").write_text(json.dumps({"seconds": 1800.0, "mean_dice": 0.9, "rows": len(rows)}))
    return folder


def make_images(folder: Path, cases: list) -> None:
    """A square of 8x8, drawn one voxel off, in noise; two slices a case, and two epochs of difficulty."""
    image = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32)
    label = np.zeros((40, 32), np.uint8)
    label[10:18, 12:20] = 1
    arrays = {}
    for case in cases:
        for place, size in (("base", 8), ("apex", 4)):
            own = np.where(np.arange(40)[:, None] < 10 + size, label, 0).astype(np.uint8)
            found = {"image": image, "label": own, "prediction": np.roll(own, 1, 0), "confidence": image * 0 + 0.5}
            arrays |= {f"{case}/{place}/{key}": array for key, array in found.items()}
    np.savez_compressed(folder / "slices.npz", **arrays)
    masks = {f"epoch{k}/{kind}": np.clip(image / 4 + 0.5, 0, 1) for k in (1, 3) for kind in ("difficulty", "focal")}
    np.savez_compressed(folder / "difficulty.npz", image=image, label=label, **masks)


def make_whole(values: dict, label: str = "head") -> dict:
    return {(case, label, "whole"): value for case, value in values.items()}


@pytest.fixture
def write_cell(tmp_path):
    """:func:`make_cell` below ``tmp_path/runs``."""
    return partial(make_cell, tmp_path / "runs")


@pytest.fixture
def write_images():
    return make_images


@pytest.fixture
def whole():
    """Dice of whole organs by case."""
    return make_whole


@pytest.fixture
def make_report(tmp_path):
    """Runs the command on ``tmp_path/runs`` and returns the folder of the data set's results."""

    def run(*, pictures: bool = False, **options) -> Path:
        output = tmp_path / "results"
        report(str(tmp_path / "runs"), str(output), no_pictures=not pictures, **{"resamples": 50, **options})
        return output / options.get("task", "fake")

    return run


@pytest.fixture
def two_seeds(tmp_path, write_cell, whole):
    """Organs head and tail, cases a and b in a fold each; hybrid with two seeds, unet with one."""
    for fold, case in enumerate("ab"):
        for seed, up in ((0, 0.0), (1, 0.1)):
            dice = whole({case: 0.7 + 0.1 * fold + up}) | whole({case: 0.5 + up}, "tail")
            write_cell("enunet_hybrid", dice, fold, seed, name=f"a{fold}{seed}")
        dice = whole({case: 0.6 + 0.1 * fold}) | whole({case: 0.3}, "tail")
        asd = {(case, "tail", "whole"): math.nan} if case == "b" else {(case, "tail", "whole"): 3.0}
        write_cell("unet", dice, fold, asd_mm=asd, name=f"b{fold}")
    return tmp_path / "runs"
