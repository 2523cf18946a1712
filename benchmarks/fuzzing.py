"""Damaged inputs, by seed, through train's reader, inference and new_bundle: what was refused, what slipped through.

``python -m benchmarks.fuzzing --count 500 --seed 0`` prints a table and ends with status 1 if a damage was accepted,
an error was not one line of this package, a good case was harmed, or memory grew beyond twice what the good cases take.

Each input is read in a process of its own: by what train.json and inference.json read a case with, and by new_bundle as
a command. Every ``commands``-th input also goes through whole trainings and inferences as commands. These processes
are forks of one that has the imports; every ``fresh``-th input starts new interpreters for all commands instead.
"""

from __future__ import annotations

import importlib
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import fire
import nibabel as nib
import numpy as np
import torch
from monai.transforms import Compose, EnsureChannelFirstd

from benchmarks.damage import DAMAGES, make_data
from benchmarks.forked import Ended, forked, run_command, started
from dam_components.data import ReadableCases, decathlon_split, list_inference_cases
from dam_components.errors import plain_errors
from dam_components.metrics import DiceCalibration
from dam_components.metrics.dice_calibration import ClassCalibration
from dam_components.transforms import CheckCased, LoadCased

Results = dict[str, np.ndarray]
PRELOADED = (  # what the commands import, so that their forks have it
    *("monai.bundle", "torch.utils.tensorboard", "itk", "dam_components.cli", "dam_components.commands.planning"),
    *("dam_components.engines", "dam_components.handlers", "dam_components.distributed", "dam_components.options"),
)
TINY = {"channels": "[4, 8]", "strides": "[2]", "patch_size": "[64, 64, 32]", "epochs": "1", "overlap": "0.0"}
OUTCOMES = ("refused", "harmless", "ACCEPTED", "HARMED", "FOREIGN", "TRACEBACK")


def preload(names: Sequence[str]) -> None:
    """Imports modules, of ITK also the part that reads."""
    for name in names:
        getattr(importlib.import_module(name), "ImageFileReader", None)


def train_reader(root: Path, out: Path) -> None:
    """What training sees of the cases."""
    plain_errors()
    keys = ["image", "label"]
    read = Compose([LoadCased(keys), EnsureChannelFirstd(keys), CheckCased(keys, image_channels=1, num_classes=2)])
    entries = decathlon_split(root / "data", "all")
    save_seen(out, [read(entry) for entry in entries], keys)


def inference_reader(root: Path, out: Path) -> None:
    """What inference sees: the images that could be read."""
    plain_errors()
    read = Compose([LoadCased("image"), EnsureChannelFirstd("image"), CheckCased("image", 1, 2)])
    cases = ReadableCases(list_inference_cases(root / "data" / "imagesTr"), read)
    save_seen(out, [*cases], ["image"])
    cases.exit_if_failed()


def save_seen(out: Path, cases: Sequence[Mapping[str, torch.Tensor]], keys: Sequence[str]) -> None:
    """Voxels and affines of the cases, as ``seen.npz``."""
    seen: Results = {}
    for case in cases:
        name = Path(str(case["image"].meta["filename_or_obj"])).name.split(".")[0]
        for key in keys:
            seen |= {f"{name} {key}": np.asarray(case[key]), f"{name} {key} affine": np.asarray(case[key].affine)}
    np.savez(out / "seen.npz", **seen)


def new_bundle_words(root: Path, out: Path) -> list[str]:
    """The command that plans."""
    return ["dam_components", "new_bundle", "--data", str(root / "data"), "--output", str(out / "plan")]


def train_words(root: Path, out: Path) -> list[str]:
    """The command that trains for an epoch, with tiny networks."""
    places = {"dataset_dir": root / "data", "folds_file": root / "data" / "folds.json"}
    places |= {"model_dir": out / "model", "output_dir": out / "run"}
    entries = {
        **TINY,
        **places,
        "validate#evaluator": "None",
        "best_network": "None",
        "best_confidence_network": "None",
    }
    state = {name: f"@{name}" for name in ("network", "confidence_network", "optimizer", "confidence_optimizer")}
    words = [word for name, value in entries.items() for word in (f"--{name}", str(value))]
    config = root / "plan" / "configs" / "train.json"
    return ["monai.bundle", "run", "--config_file", str(config), *words, "--run_state", json.dumps(state)]


def inference_words(root: Path, out: Path) -> list[str]:
    """The command that segments all images."""
    places = ["--dataset_dir", str(root / "data" / "imagesTr"), "--output_dir", str(out / "segmented")]
    config = root / "model" / "configs" / "inference.json"
    return ["monai.bundle", "run", "--config_file", str(config), *places]


def results_in(out: Path) -> Results:
    """All numbers that a way has left in its folder, by name."""
    found: Results = {}
    if (out / "seen.npz").is_file():
        with np.load(out / "seen.npz") as seen:
            found |= dict(seen)
    for file in sorted(out.glob("plan/docs/data_report.json")):
        report = json.loads(file.read_text())
        numbers = {
            **report["plan"],
            **{name: report["fingerprint"][name] for name in ("shape", "spacing_mm", "inside")},
        }
        found["plan"] = np.asarray(json.dumps(numbers, sort_keys=True))
    for file in sorted(out.glob("model/models/*.pt")):
        state = torch.load(file, weights_only=True)
        found |= {f"{file.name} {name}": value.numpy() for name, value in state.items()}
    for file in sorted(out.glob("segmented/*/*.nii.gz")):
        image = nib.load(file)
        found |= {f"{file.parent.name} {file.name}": np.asarray(image.dataobj), f"{file.name} affine": image.affine}
    for file in sorted(out.glob("segmented/*/*_report.json")):
        report = json.loads(file.read_text())
        told = {name: report[name] for name in ("classes", "predicted_mean_dice", "reasons")}
        found[f"{file.parent.name} report"] = np.asarray(json.dumps(told))
    return found


@dataclass(frozen=True)
class Way:
    """One way that an input takes.

    Attributes:
        reads: beginnings of the names of the files that it reads.
        run: in a fork, with the folders of the input and of the results.
        words: of the command; none for a reader.
        rest: cases that must be done where another one is refused.
    """

    reads: tuple[str, ...]
    run: Callable[[Path, Path], None]
    words: Callable[[Path, Path], list[str]] | None = None
    rest: tuple[str, ...] = ()


def command(reads: tuple[str, ...], words: Callable[[Path, Path], list[str]], rest: tuple[str, ...] = ()) -> Way:
    """A way that is a command."""
    return Way(reads, lambda root, out: run_command(words(root, out)), words, rest)


WAYS = {
    "train's reader": Way(("data/",), train_reader),
    "inference's reader": Way(("data/images",), inference_reader, rest=("c0",)),
    "new_bundle": command(("data/",), new_bundle_words),
    "train": command(("data/",), train_words),
    "inference": command(("data/images", "model/"), inference_words, rest=("c0",)),
}
WHOLE = ("train", "inference")


def outcome(ended: Ended, seen: Results, good: Results, rest: Sequence[str] = ()) -> str:
    """One of OUTCOMES: harmless is what gave what the good input gives, FOREIGN an error that is none of ours."""
    if ended.has_traceback:
        return "TRACEBACK"
    if ended.status == 0:
        return "harmless" if same(seen, good, good) else "ACCEPTED"
    if any("all of it is in" in line for line in ended.errors()) or not ended.errors():
        return "FOREIGN"
    needed = [name for name in good if name.split()[0] in rest]
    return "refused" if same(seen, good, needed) else "HARMED"


def same(seen: Results, good: Results, names: Sequence[str] | Results) -> bool:
    """Whether the named results are there, with the shapes and values of the good ones."""
    return all(name in seen and alike(seen[name], good[name]) for name in names)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal to rounding."""
    if one.shape != other.shape or one.dtype.kind in "US" or other.dtype.kind in "US":
        return bool(one.shape == other.shape and (one == other).all())
    return np.allclose(one, other, atol=1e-5, equal_nan=True)


@dataclass
class Fuzzer:
    """Good results and memory by way, and what became of the damaged inputs."""

    root: Path
    good: dict[str, Results] = field(default_factory=dict)
    good_mb: dict[str, float] = field(default_factory=dict)
    table: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    most_mb: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def run(self, name: str, fresh: bool = False) -> tuple[Ended, Results]:
        """One way with what lies in the folder."""
        way, out = WAYS[name], self.root / "out"
        out.mkdir()
        try:
            if fresh and way.words is not None:
                ended = started(way.words(self.root, out), out / "log")
            else:
                ended = forked(partial(way.run, self.root, out), out / "log")
            return ended, results_in(out)
        finally:
            shutil.rmtree(out)

    def prepare(self) -> None:
        """A dataset, its plan, a model that a training leaves, and the good results of all ways."""
        preload(PRELOADED)
        forked(partial(make_data, self.root / "data"), self.root / "log")  # ITK starts threads, which no fork inherits
        for words in (new_bundle_words(self.root, self.root), train_words(self.root, self.root)):
            ended = forked(partial(run_command, words), self.root / "log")
            if ended.status:
                raise RuntimeError(f"{words[0]} fails on good input: {ended.told[-2000:]}")
        classes = (ClassCalibration([0.2, 0.9], [0.1, 0.8], 0.1, 0.1, 20),)
        DiceCalibration(0.9, classes).save(self.root / "model" / "models" / "calibration.json")
        for name in WAYS:
            ended, self.good[name] = self.run(name)
            self.good_mb[name] = ended.grown_mb
            if ended.status or not self.good[name]:
                raise RuntimeError(f"{name} fails on good input: {ended.told[-2000:]}")

    def judge(self, number: int, damage: str, file: str, names: Sequence[str], fresh: bool) -> None:
        """Runs the ways that read the file, and counts."""
        for name in (name for name in names if file.startswith(WAYS[name].reads)):
            ended, seen = self.run(name, fresh)
            rest = WAYS[name].rest if "/images" in file else ()
            found = outcome(ended, seen, self.good[name], rest)
            self.table[(f"{file.partition('/')[2].split('.')[0]}: {damage}", name, found)] += 1
            if not fresh:
                self.most_mb[name] = max(self.most_mb[name], ended.grown_mb)
            if found not in OUTCOMES[:2]:
                self.bad.append(f"{number} {file} {damage} {name}: {found}: {' | '.join(ended.told.splitlines()[-3:])}")

    def report(self) -> None:
        """The tables."""
        print("| damage | way |", *(f"{found.lower()} |" for found in OUTCOMES), "\n|---|---|" + "---|" * len(OUTCOMES))
        for damage, way in sorted({key[:2] for key in self.table}):
            numbers = [self.table[(damage, way, found)] for found in OUTCOMES]
            print(f"| {damage} | {way} | " + " | ".join(map(str, numbers)) + " |")
        print("\n| way | runs | memory, good cases | most, damaged |\n|---|---|---|---|")
        for name, most in self.most_mb.items():
            runs = sum(count for key, count in self.table.items() if key[1] == name)
            print(f"| {name} | {runs} | {self.good_mb[name]:.0f} MB | {most:.0f} MB |")


def run(count: int = 500, seed: int = 0, commands: int = 5, fresh: int = 50, only: Sequence[int] = ()) -> None:
    """Damages one file after the other, and runs what reads it.

    Args:
        count: damaged inputs.
        seed: of the damages.
        commands: each of so many inputs also goes through whole trainings and inferences.
        fresh: each of so many inputs starts new interpreters.
        only: numbers of the inputs that are run; by default all.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        fuzzer = Fuzzer(Path(name))
        fuzzer.prepare()
        for number in range(count):
            damaged = draw.choice(sorted(DAMAGES))
            file = fuzzer.root / damaged
            whole = file.read_bytes()
            kind = draw.choice(DAMAGES[damaged])(file, draw)
            whole_ways = damaged.startswith("model/") or number % commands == 0
            ways = [way for way in WAYS if whole_ways or way not in WHOLE]
            if not only or number in only:
                fuzzer.judge(number, kind, damaged, ways, number % fresh == 0)
            file.write_bytes(whole)
        unharmed = all(same(fuzzer.run(way)[1], fuzzer.good[way], fuzzer.good[way]) for way in WAYS)
        greedy = [name for name, most in fuzzer.most_mb.items() if most > 2 * fuzzer.good_mb[name]]
    fuzzer.report()
    told = (
        f"{len(only) or count} damaged inputs, seed {seed}: {len(fuzzer.bad)} accepted, harmed or with a foreign error"
    )
    print(f"\n{told}", end="; ")
    print(f"good cases unharmed: {unharmed}; ways beyond twice the memory of the good cases: {greedy or 'none'}")
    print(*fuzzer.bad, sep="\n")
    if fuzzer.bad or not unharmed or greedy:
        raise SystemExit(1)


if __name__ == "__main__":
    fire.Fire(run)
