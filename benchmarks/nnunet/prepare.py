"""nnU-Net's dataset of the hippocampus, without the test cases of fold 0, and 3 folds of the rest."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

from dam_components.data import decathlon_split

NAME = "Dataset004_Hippocampus"


def prepare(data: Path, folds: int = 3, seed: int = 0) -> None:
    """Writes ``nnUNet_raw/Dataset004_Hippocampus`` and the splits; held-out cases go to ``imagesTs``.

    Args:
        data: the Decathlon's ``Task04_Hippocampus``.
        folds: of the training cases.
        seed: of their order.
    """
    every = sorted(file.name.removesuffix(".nii.gz") for file in (data / "imagesTr").glob("hippocampus_*.nii.gz"))
    held_out = {case["case"] for case in decathlon_split(data, "test")}
    rest = [name for name in every if name not in held_out]
    target = Path(os.environ["nnUNet_raw"]) / NAME  # noqa: SIM112
    for folder in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for name in every:
        end = "Ts" if name in held_out else "Tr"
        shutil.copyfile(data / "imagesTr" / f"{name}.nii.gz", target / f"images{end}" / f"{name}_0000.nii.gz")
        shutil.copyfile(data / "labelsTr" / f"{name}.nii.gz", target / f"labels{end}" / f"{name}.nii.gz")
    index = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": len(rest),
        "file_ending": ".nii.gz",
    }
    (target / "dataset.json").write_text(json.dumps(index), encoding="utf-8")
    random.Random(seed).shuffle(rest)
    parts = [sorted(rest[number::folds]) for number in range(folds)]
    splits = [{"train": sorted({*rest} - {*part}), "val": part} for part in parts]
    preprocessed = Path(os.environ["nnUNet_preprocessed"]) / NAME  # noqa: SIM112
    preprocessed.mkdir(parents=True, exist_ok=True)
    (preprocessed / "splits_final.json").write_text(json.dumps(splits), encoding="utf-8")
    print(f"{len(rest)} cases in {folds} folds, {len(every) - len(rest)} held out")


if __name__ == "__main__":
    import fire

    fire.Fire(lambda data, folds=3, seed=0: prepare(Path(data), folds, seed))
