"""The ``demo`` command: the whole way from no data at all to a segmented volume with its confidence map."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from dam_components.atomic_files import write_whole
from dam_components.commands.bundle_jobs import bundle_folder, run_bundle
from dam_components.figures import draw_case, save_figure
from dam_components.handlers import summarise
from dam_components.planning.model_folder import add_results
from dam_components.synthetic import pelvic_spacing, write_pelvic_dataset

__all__ = ["demo"]

SHAPE = (48, 48, 24)
CASES = 15
EPOCHS = 25


def demo(output: str, seed: int = 0, epochs: int = EPOCHS, bundle: str | None = None) -> None:
    """Trains S and D on small synthetic pelvic MRI, evaluates them, and segments a new volume. Minutes on two cores.

    Each step is the bundle's own and is printed before it runs, so that it can be repeated by hand.

    Args:
        output: folder for all files, made if missing.
        seed: of the synthetic patients and of the training.
        epochs: of the training.
        bundle: a copy of the project's bundle folder; by default the one beside the package.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    configs = bundle_folder(bundle) / "configs"
    folder = Path(output).absolute()
    patients = write_pelvic_dataset(folder / "patients", CASES, seed, SHAPE)
    # a patient of another seed; inference is shown the folder of its image only
    new_patient = write_pelvic_dataset(folder / "new_patient", 1, seed + 1, SHAPE) / "imagesTr"

    setup = write_setup(folder, patients, seed, epochs)
    run_bundle([configs / "train.json", configs / "tasks" / "pelvic.json", setup])
    model = folder / "model"  # from here on a bundle of its own, with the values that it was trained with
    configs = model / "configs"
    run_bundle([configs / "train.json", configs / "evaluate.json"], output_dir=folder / "evaluation")
    run_bundle([configs / "inference.json"], dataset_dir=new_patient, output_dir=folder / "segmentation")

    metrics = folder / "evaluation" / "metrics.csv"
    print(f"\n{dice_table(pd.read_csv(metrics))}\n\nwrote")
    image = next(new_patient.glob("*.nii.gz"))
    confidence, segmentation = sorted((folder / "segmentation").glob("*/*.nii.gz"))
    picture = draw_segmentation(image, segmentation, confidence, folder / "segmentation" / "segmentation.png")
    add_results(model, metrics, picture)
    weights = sorted((model / "models").glob("*.pt"))
    for file in [*weights, metrics, segmentation, confidence, picture]:
        print(f"  {os.path.relpath(file)}")


def draw_segmentation(image: Path, segmentation: Path, confidence: Path, picture: Path) -> Path:
    """Draws image, segmentation and doubt 1 - M, which lie on one grid, and returns the picture's path."""
    volumes = (np.asarray(nib.load(file).dataobj) for file in (image, segmentation, confidence))  # type: ignore[attr-defined]
    return save_figure(draw_case(next(volumes), next(volumes), next(volumes), title=image.name), picture)


def write_setup(folder: Path, patients: Path, seed: int, epochs: int) -> Path:
    """Writes what the demo changes in the bundle, as a configuration that goes on top of the bundle's own."""
    setup: dict[str, Any] = {
        "_desc_": "python -m dam_components demo: tasks/pelvic.json, small enough for two cores",
        "dataset_dir": str(patients),
        "model_dir": str(folder / "model"),
        "output_dir": str(folder / "training"),
        "spacing": list(pelvic_spacing(SHAPE)),
        "patch_size": [48, 48, 16],
        "channels": [8, 16, 32, 64],
        "patches_per_case": 2,
        "batch_size": 1,
        "epochs": epochs,
        "val_interval": max(1, epochs // 5),
        "warmup_epochs": min(3, epochs - 1),
        "learning_rate": 0.003,
        "seed": seed,
    }
    file = folder / "demo.json"
    return write_whole(file, json.dumps(setup, indent=4) + "\n")


def dice_table(rows: pd.DataFrame) -> str:
    """Mean Dice over the cases by structure and region, and their mean over the whole structures.

    Example:
        >>> rows = pd.DataFrame([("a", "bladder", "whole", 0.8), ("b", "bladder", "whole", 0.9)])
        >>> print(dice_table(rows.set_axis(["case", "label", "region", "dice"], axis=1)))
        mean Dice over 2 test cases
        region   whole
        label
        bladder  0.850
        mean of the structures: 0.850
    """
    table = summarise(rows)["dice"].unstack("region", sort=False)
    lines = str(table.to_string(float_format="{:.3f}".format)).splitlines()
    mean = f"mean of the structures: {table['whole'].mean():.3f}"
    return "\n".join([f"mean Dice over {rows['case'].nunique()} test cases", *(line.rstrip() for line in lines), mean])
