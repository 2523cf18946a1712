"""What trains beside what in ``benchmarks.beside_nnunet``, each by commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bundle_parts import CONFIGS
from benchmarks.nnunet.program import nnunet_program
from dam_components.commands.bundle_jobs import bundle_words

__all__ = ["SMALL", "WINDOW", "Command", "System", "all_systems"]

NNUNET, OURS = "nnU-Net", "this bundle"
SMALL, WINDOW = "nnUNetPlansHalfSmall", (32, 48, 32)  # this bundle's window

Command = tuple[list[str], dict[str, str]]
"""Words, and variables of the environment."""


@dataclass(frozen=True)
class System:
    """A way to train, by command.

    Attributes:
        name: in the tables.
        describe: batch, steps an epoch and optimizer, for the page.
        train: command from the number of epochs and the folder of the model.
        predict: command from the folder of the model and that of the segmentations of the test cases.
        found: the segmentation of a case in that folder.
        only_longest: whether it gets the longest budget alone.
    """

    name: str
    describe: str
    train: Callable[[int, Path], Command]
    predict: Callable[[Path, Path], Command]
    found: str
    only_longest: bool = False


def nnunet(
    name: str,
    plans: str,
    trainer: str,
    steps: int,
    describe: str,
    images: Path,
    rate: float = 1e-3,
    only_longest: bool = False,
) -> System:
    """nnU-Net by its own commands; a model's folder is its ``nnUNet_results``."""
    short = {"DAM_ITERATIONS": str(steps), "DAM_VALIDATE": "0", "DAM_RATE": str(rate)}
    chosen = ["-p", plans, "-tr", trainer, "-device", "cpu"]

    def train(epochs: int, model: Path) -> Command:
        command = nnunet_program("nnUNetv2_train", "4", "3d_fullres", "all", *chosen)
        return command, {"nnUNet_results": str(model), "DAM_EPOCHS": str(epochs), **short}

    def predict(model: Path, output: Path) -> Command:
        one_process = ["-npp", "1", "-nps", "1"]
        command = nnunet_program("nnUNetv2_predict", "-d", "4", "-c", "3d_fullres", "-f", "all", *chosen)
        return [*command, *one_process, "-i", str(images), "-o", str(output)], {"nnUNet_results": str(model)}

    return System(name, describe, train, predict, "{case}.nii.gz", only_longest)


def bundle(
    name: str,
    entries: Mapping[str, Any],
    describe: str,
    data: Path,
    images: Path,
    only_longest: bool = False,
) -> System:
    """This bundle by ``monai.bundle run``; only the last network counts, as nnU-Net's."""

    def train(epochs: int, model: Path) -> Command:
        every = {"dataset_dir": data.absolute(), "model_dir": model / "model", "output_dir": model, "epochs": epochs}
        whole = {"folds#validation": 0, "keep_last": True, "validation_pictures": False}
        return [sys.executable, *bundle_words([CONFIGS / "train.json"], {**every, **whole, **entries})], {}

    def predict(model: Path, output: Path) -> Command:
        configs = [model / "model" / "configs" / f"{file}.json" for file in ("inference", "flips")]
        return [sys.executable, *bundle_words(configs, {"dataset_dir": images, "output_dir": output})], {}

    return System(name, describe, train, predict, "{case}/{case}_seg.nii.gz", only_longest)


def all_systems(data: Path, raw: Path, amp: bool) -> list[System]:
    """The first one is what the others are compared with.

    Args:
        data: the Decathlon's ``Task04_Hippocampus``.
        raw: nnU-Net's folder of it.
        amp: bfloat16.
    """
    images = raw / "imagesTs"
    cases = len(list((raw / "labelsTr").iterdir()))
    own = json.loads((CONFIGS / "train.json").read_text(encoding="utf-8"))
    steps, windows = cases // own["batch_size"], own["batch_size"] * own["patches_per_case"]
    unet = json.loads((CONFIGS / "experiments" / "unet.json").read_text(encoding="utf-8"))["network_def"]
    return [
        nnunet(
            NNUNET,
            SMALL,
            "nnUNetTrainerShortCPU",
            50,
            "50 steps an epoch, batch 2, AdamW 2e-3 and polynomial decay, windows of 32 x 48 x 32; nnU-Net's network "
            "at half its width, its loss, deep supervision and augmentation, mirroring left to right only; mirrored "
            "at test",
            images,
            rate=2e-3,
        ),
        bundle(
            OURS,
            {"amp": amp},
            f"{steps} steps an epoch, batch {windows}; train.json as it is: S and D; flipped left to right at test",
            data,
            images,
        ),
        nnunet(
            f"{NNUNET}, its own window",
            "nnUNetPlansHalf",
            "nnUNetTrainerShortCPU",
            50,
            "the first one with nnU-Net's own window of 40 x 56 x 40, and AdamW 1e-3",
            images,
            only_longest=True,
        ),
        bundle(
            f"{OURS}, MONAI's UNet as S",
            {"amp": amp, "network_def": unet},
            "the same with MONAI's UNet of the same widths in S's place",
            data,
            images,
            only_longest=True,
        ),
        nnunet(
            f"{NNUNET} as released",
            "nnUNetPlans",
            "nnUNetTrainerPlainCPU",
            5,
            "5 steps an epoch, batch 9, SGD 1e-2 and polynomial decay; full width, all axes mirrored, also at test",
            images,
            only_longest=True,
        ),
    ]
