"""The ``demo`` command: the whole way from no data at all to a segmented volume with its confidence map."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from dam_components.commands.bundle_jobs import run_bundle
from dam_components.commands.training import train
from dam_components.figures import draw_case, save_figure
from dam_components.synthetic import write_pelvic_dataset

__all__ = ["demo"]

SHAPE = (48, 48, 24)
CASES = 15
EPOCHS = 24


def demo(output: str, seed: int = 0, epochs: int = EPOCHS, bundle: str | None = None) -> None:
    """Trains S and D on small synthetic pelvic MRI, evaluates them, and segments a new volume. Minutes on two cores.

    It is ``dam train`` on synthetic patients. Each step is printed before it runs, so that it can be repeated by hand.

    Args:
        output: folder for all files, made if missing.
        seed: of the synthetic patients and of the training.
        epochs: of every training.
        bundle: a copy of the project's bundle folder; by default the one beside the package.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    folder = Path(output).absolute()
    patients = write_pelvic_dataset(folder / "patients", CASES, seed, SHAPE)
    # a patient of another seed; inference is shown the folder of its image only
    new_patient = write_pelvic_dataset(folder / "new_patient", 1, seed + 1, SHAPE) / "imagesTr"

    model, segmented = folder / "model", folder / "segmentation"
    train(str(patients), str(model), epochs=epochs, seed=seed, bundle=bundle, overrides=small_training(epochs))
    run_bundle([model / "configs" / "inference.json"], dataset_dir=new_patient, output_dir=segmented)

    image = next(new_patient.glob("*.nii.gz"))
    confidence, segmentation = sorted(segmented.glob("*/*.nii.gz"))
    picture = draw_segmentation(image, segmentation, confidence, segmented / "segmentation.png")
    made = [model / "index.html", segmentation, confidence, picture]
    print("wrote", *(f"  {os.path.relpath(file)}" for file in made), sep="\n")


def draw_segmentation(image: Path, segmentation: Path, confidence: Path, picture: Path) -> Path:
    """Draws image, segmentation and doubt 1 - M, which lie on one grid, and returns the picture's path."""
    volumes = (np.asarray(nib.load(file).dataobj) for file in (image, segmentation, confidence))  # type: ignore[attr-defined]
    return save_figure(draw_case(next(volumes), next(volumes), next(volumes), title=image.name), picture)


def small_training(epochs: int) -> dict[str, Any]:
    """What the demo changes in the plan for its patients, so that it is small enough for two cores."""
    return {
        "channels": [8, 16, 32, 64],
        "batch_size": 1,
        "val_interval": max(1, epochs // 3),
        "warmup_epochs": min(3, epochs - 1),
        "learning_rate": 0.003,
    }
