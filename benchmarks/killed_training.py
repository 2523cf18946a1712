"""Kills ``dam train`` by SIGKILL at random moments, starts it again each time, and compares what it leaves with what an
unbroken run leaves: S, D and the calibration must be equal bit for bit (on a CPU). Then the model is moved and used.

    python benchmarks/killed_training.py DATA --folder FOLDER --kills 10 -- --epochs 2 --patch_voxels 16384
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from dam_components.networks import identity_in, read_weights

FILES = ("model.pt", "model_confidence.pt")
STAGES = 8  # over which the kills are spread


def train(data: str, model: Path, options: list[str], log: Path) -> subprocess.Popen:
    """Starts the command."""
    command = [sys.executable, "-m", "dam_components", "train", data, "--output", str(model), *options]
    with log.open("ab") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)


def stages_done(model: Path) -> list[str]:
    """Names of the stages that are done."""
    return sorted(file.stem for file in (model / "training" / "done").glob("*.json"))


def killed(data: str, model: Path, options: list[str], log: Path, kills: int, longest_s: float, seed: int) -> int:
    """Trains with so many kills, each at a random moment after a stage further on has begun; gives how many there were
    before it had ended by itself."""
    draw = random.Random(seed)
    for number in range(kills):
        process, delay = train(data, model, options, log), draw.uniform(0, longest_s)
        while process.poll() is None and len(stages_done(model)) < number * STAGES // kills:
            time.sleep(0.2)
        try:
            process.wait(timeout=delay)
            return number
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(0.5)
        left = [file for file in model.rglob("*") if file.name.startswith(("tmp", ".")) and ".in_use" not in file.name]
        done = ", ".join(stages_done(model)) or "-"
        print(f"kill {number + 1}, {delay:.0f} s into a stage; done: {done}; temporary files: {left}", flush=True)
    process = train(data, model, options, log)
    if process.wait():
        raise SystemExit(f"the training failed, see {log}")
    return kills


def compare(one: Path, other: Path) -> list[str]:
    """What differs between two models."""
    different = []
    for name in FILES:
        a, b = (read_weights(folder / "models" / name) for folder in (one, other))
        if (
            a.keys() != b.keys()
            or not all(torch.equal(a[key], b[key]) for key in a)
            or identity_in(a) != identity_in(b)
        ):
            different.append(name)
    calibrations = [(folder / "models" / "calibration.json").read_bytes() for folder in (one, other)]
    return different + (["calibration.json"] if len({*calibrations}) > 1 else [])


def use_elsewhere(model: Path, images: Path, folder: Path) -> int:
    """Moves a model and runs its inference without any option that it was trained with; gives the number of cases."""
    place = folder / "elsewhere" / "model"
    shutil.rmtree(place.parent, ignore_errors=True)
    place.parent.mkdir()
    shutil.move(model, place)
    shutil.rmtree(place / "training")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(place / "configs" / "inference.json")]
    command += ["--dataset_dir", str(images), "--output_dir", str(folder / "elsewhere" / "segmented")]
    subprocess.run(command, check=True, cwd=folder / "elsewhere", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return len([*(folder / "elsewhere" / "segmented").glob("*/*_report.json")])


def main() -> None:
    """Runs both and prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--longest_s", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    options = words[cut + 1 :]
    given = parser.parse_args(words[:cut])
    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    whole, broken = given.folder / "whole", given.folder / "broken"
    number = killed(given.data, broken, options, given.folder / "broken.log", given.kills, given.longest_s, given.seed)
    if train(given.data, whole, options, given.folder / "whole.log").wait():
        raise SystemExit("the unbroken training failed")
    print(f"{number} kills; different from the unbroken run: {compare(whole, broken) or 'nothing'}")
    cases = use_elsewhere(broken, whole / "training" / "test_images", given.folder)
    print(f"moved, without its folder of the training: {cases} cases segmented")


if __name__ == "__main__":
    main()
