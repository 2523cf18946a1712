"""Inference of a folder by this bundle and by nnU-Net's own predictor: processor time a case, and the largest process.

Each is a command, as a person starts it. Start-up is taken off: time of all cases minus time of one. It needs nnunetv2,
and nnU-Net's variables, which name the folder of a trained network:
``python -m benchmarks.nnunet_inference --images IMAGES --dataset 4 --trainer nnUNetTrainer --plans nnUNetPlans``
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import fire
import pandas as pd

from benchmarks.bundle_parts import CONFIGS
from benchmarks.forked import measured
from benchmarks.nnunet.program import nnunet_program
from benchmarks.tables import write_table
from dam_components.commands.bundle_jobs import bundle_words

__all__ = ["main", "measure"]


def commands(dataset: int, trainer: str, plans: str) -> dict[str, list[str]]:
    """Each without the folders of images and results."""
    nnunet = nnunet_program("nnUNetv2_predict", "-d", str(dataset), "-c", "3d_fullres")
    nnunet += ["-tr", trainer, "-p", plans, "-f", "0", "-device", "cpu", "-npp", "1", "-nps", "1"]
    ours = [sys.executable, *bundle_words([CONFIGS / "inference.json"], {})]
    flips = [sys.executable, *bundle_words([CONFIGS / "inference.json", CONFIGS / "flips.json"], {})]
    return {
        "nnU-Net, one network": [*nnunet, "--disable_tta"],
        "nnU-Net, one network, mirrored": nnunet,
        "this bundle: S, M, report, picture": ours,
        "this bundle, flipped too": flips,
    }


def measure(images: str, dataset: int, trainer: str, plans: str, cases: int = 12, rounds: int = 3) -> pd.DataFrame:
    """One row a command; seconds are medians over the rounds, ratios those within a round to the first."""
    files = sorted(Path(images).glob("*.nii.gz"))[:cases]
    variants = commands(dataset, trainer, plans)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as scratch:
        folders = {count: Path(scratch) / f"images{count}" for count in (1, len(files))}
        for count, folder in folders.items():
            folder.mkdir()
            for file in files[:count]:
                (folder / file.name).symlink_to(file.absolute())
        names = list(variants)
        for name in (names[(turn + i) % len(names)] for turn in range(rounds) for i in range(len(names))):
            took = {}
            for count, folder in folders.items():
                target = Path(tempfile.mkdtemp(dir=scratch))
                places = ["-i", str(folder), "-o", str(target)]
                if "monai.bundle" in variants[name]:
                    places = ["--dataset_dir", str(folder), "--output_dir", str(target)]
                ended = measured([*variants[name], *places], Path(scratch, "log"))
                if ended.status:
                    raise RuntimeError(f"{name} failed:\n{ended.told[-2000:]}")
                took[count] = ended
            one, every = took[1], took[len(files)]
            seconds = (every.processor_s - one.processor_s) / (len(files) - 1)
            found[name].append((seconds, max(one.grown_mb, every.grown_mb)))
    rows = []
    first = [seconds for seconds, _ in next(iter(found.values()))]
    for name, pairs in found.items():
        times = pd.Series([seconds for seconds, _ in pairs])
        ratios = times / pd.Series(first)
        rows.append(
            {
                "command": name,
                "rounds": len(pairs),
                "seconds_a_case": times.median(),
                "ratio": ratios.median(),
                "ratio_min": ratios.min(),
                "ratio_max": ratios.max(),
                "largest_process_mb": max(peak for _, peak in pairs),
            }
        )
    return pd.DataFrame(rows)


def main(
    images: str,
    dataset: int = 4,
    trainer: str = "nnUNetTrainer",
    plans: str = "nnUNetPlans",
    cases: int = 12,
    rounds: int = 3,
    output_dir: str = "docs/results/benchmarks",
) -> None:
    """Writes nnunet_inference.md and .csv."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of all commands
    table = measure(images, dataset, trainer, plans, cases, rounds)
    command = f"nnunet_inference --images {Path(images).name} --dataset {dataset} --trainer {trainer} --plans {plans}"
    title = f"A folder of {cases} cases, start-up taken off"
    write_table(table, output_dir, "nnunet_inference", title, command=command)


if __name__ == "__main__":
    fire.Fire(main)
