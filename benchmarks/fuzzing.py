"""Damaged inputs, by seed, through train's reader, inference and new_bundle: what was refused, what slipped through.

``python -m benchmarks.fuzzing --count 500 --seed 0`` prints a table and ends with status 1 if a damage was accepted,
an error was not one of this package in one line, a good case was harmed, or memory grew beyond twice the largest good
case.
"""

from __future__ import annotations

import gzip
import json
import logging
import random
import resource
import struct
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import fire
import nibabel as nib
import numpy as np
import torch
from monai.transforms import Compose, EnsureChannelFirstd

from dam_components.data import ReadableCases, list_inference_cases
from dam_components.data.dataset_layouts import read_dataset
from dam_components.errors import plain_message
from dam_components.metrics import DiceCalibration
from dam_components.networks import EnhancedUNet, load_weights
from dam_components.planning.dataset_check import check_dataset
from dam_components.transforms import CheckCased, LoadCased

SIZES = ((96, 96, 96), (64, 64, 40), (64, 64, 40))
FIELDS = {  # of a NIfTI header: where, kind of number, and what is put there
    "dim": ("40", "h", (-1, 0, 7, 750, 32767)),
    "type": ("70", "h", (1, 8, 64, 128, 999)),
    "affine": ("280", "f", (0.0, float("nan"), float("inf"), -3.0, 1e9)),
    "pixdim": ("80", "f", (0.0, float("nan"), -1.0, 1e9)),
    "offset": ("108", "f", (-1.0, 16.0, 1e9)),
    "size": ("0", "i", (0, 540, -1)),
}


def network() -> EnhancedUNet:
    """S of a few channels."""
    torch.manual_seed(0)
    return EnhancedUNet(channels=(4, 8), strides=(2,), out_channels=2)


def make_good(folder: Path) -> None:
    """Three cases in the Decathlon's layout, weights and a calibration."""
    entries = []
    for number, size in enumerate(SIZES):
        draw = np.random.default_rng(number)
        label = np.zeros(size, np.uint8)
        label[10:30, 10:30, 10:30] = 1
        for part, array in (("imagesTr", draw.normal(100, 20, size).astype(np.float32)), ("labelsTr", label)):
            (folder / part).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), folder / part / f"c{number}.nii.gz")
        entries.append({"image": f"imagesTr/c{number}.nii.gz", "label": f"labelsTr/c{number}.nii.gz"})
    index = {"name": "fuzz", "modality": {"0": "MR"}, "labels": {"0": "background", "1": "a"}, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(index))
    torch.save(network().state_dict(), folder / "model.pt")
    classes = [{"raw": [0.2, 0.9], "dice": [0.1, 0.8], "spread_base": 0.1, "spread_slope": 0.1, "pairs": 20}]
    (folder / "calibration.json").write_text(json.dumps({"level": 0.9, "classes": classes}))


def bits(file: Path, draw: random.Random) -> str:
    """Flips one to eight bits anywhere."""
    raw = bytearray(file.read_bytes())
    for _ in range(draw.randint(1, 8)):
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    file.write_bytes(raw)
    return "bits"


def cut(file: Path, draw: random.Random) -> str:
    """Cuts the file short."""
    raw = file.read_bytes()
    file.write_bytes(raw[: draw.randrange(len(raw))])
    return "cut"


def header(file: Path, draw: random.Random) -> str:
    """Puts a wrong number into a NIfTI header, with a right checksum."""
    name = draw.choice(sorted(FIELDS))
    place, kind, values = FIELDS[name]
    raw = bytearray(gzip.decompress(file.read_bytes()))
    step = struct.calcsize(kind) * (draw.randrange(1, 4) if name in ("dim", "affine", "pixdim") else 0)
    struct.pack_into(f"<{kind}", raw, int(place) + step, draw.choice(values))
    file.write_bytes(gzip.compress(bytes(raw)))
    return f"header {name}"


def values(file: Path, draw: random.Random) -> str:
    """Puts a wrong value into an image or a label."""
    image = nib.load(file)
    array = np.asarray(image.dataobj).astype(np.float32)
    array.flat[draw.randrange(array.size)] = draw.choice([np.nan, np.inf, -np.inf])
    nib.save(nib.Nifti1Image(array, image.affine), file)
    return "values"


def text(file: Path, draw: random.Random) -> str:
    """Takes a character out of a JSON, or puts another in its place."""
    content = file.read_text()
    place = draw.randrange(len(content))
    file.write_text(content[:place] + draw.choice(["", "x", "9", '"', "{", "-", "NaN"]) + content[place + 1 :])
    return "text"


DAMAGES: dict[str, tuple[Callable[[Path, random.Random], str], ...]] = {
    "imagesTr/c1.nii.gz": (bits, bits, cut, header, values),
    "labelsTr/c1.nii.gz": (bits, bits, cut, header, values),
    "dataset.json": (text, cut),
    "calibration.json": (text, cut),
    "model.pt": (bits, cut),
}


def train_reader(folder: Path) -> Any:
    """What training sees of the damaged case."""
    keys = ["image", "label"]
    read = Compose([LoadCased(keys), EnsureChannelFirstd(keys), CheckCased(keys, image_channels=1, num_classes=2)])
    case = read({"image": str(folder / "imagesTr/c1.nii.gz"), "label": str(folder / "labelsTr/c1.nii.gz")})
    return [np.asarray(case[key]) for key in keys] + [np.asarray(case[key].affine) for key in keys]


def inference(folder: Path) -> Any:
    """What inference sees: the images that could be read, the weights and the calibration."""
    read = Compose([LoadCased("image"), EnsureChannelFirstd("image"), CheckCased("image", 1, 2)])
    with redirect_stderr(StringIO()):
        cases = ReadableCases(list_inference_cases(folder / "imagesTr"), read)
        seen = [[np.asarray(case["image"]), np.asarray(case["image"].affine)] for case in cases]
    if len(seen) + len(cases.failed) != len(SIZES):
        raise AssertionError("a case is lost")
    weights = [np.asarray(value) for value in load_weights(network(), folder / "model.pt").state_dict().values()]
    calibrated = DiceCalibration.load(folder / "calibration.json", 1)
    if cases.failed:
        raise ValueError(cases.failed[0])
    return [array for case in seen for array in case] + weights + [np.asarray(calibrated([0.5]))]


def planning(folder: Path) -> Any:
    """What new_bundle finds."""
    surveys, findings = check_dataset(read_dataset(folder), progress=False)
    if errors := [finding for finding in findings if finding.level == "error"]:
        raise ValueError(str(errors[0]))
    return [np.asarray([*survey.shape, *survey.spacing_mm, *survey.label_voxels.values()]) for survey in surveys]


READERS = {"train": train_reader, "inference": inference, "new_bundle": planning}


@contextmanager
def silence() -> Iterator[None]:
    """Neither log nor warnings, which name every damaged file."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def outcome(read: Callable[[Path], Any], folder: Path, good: list[np.ndarray]) -> str:
    """Refused, harmless (what is read is what was), accepted, or an error that is none of ours."""
    try:
        with silence():
            seen = read(folder)
    except Exception as error:
        message = plain_message(error, [Path(__file__).parent, Path(__file__).parents[1] / "dam_components"])
        return "refused" if message and "\n" not in message else f"TRACEBACK {type(error).__name__}: {error}"
    same = len(seen) == len(good) and all(a.shape == b.shape for a, b in zip(seen, good, strict=True))
    close = same and all(np.allclose(a, b, atol=1e-5, equal_nan=True) for a, b in zip(seen, good, strict=True))
    return "harmless" if close else "ACCEPTED"


def run(count: int = 500, seed: int = 0) -> None:
    """Damages one file after the other, and reads it in the three ways.

    Args:
        count: damaged inputs.
        seed: of the damages.
    """
    draw, table, bad = random.Random(seed), Counter[tuple[str, str, str]](), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_good(folder)
        good = {way: read(folder) for way, read in READERS.items()}
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(count):
            damaged = draw.choice(sorted(DAMAGES))
            file, whole = folder / damaged, (folder / damaged).read_bytes()
            kind = draw.choice(DAMAGES[damaged])(file, draw)
            for way, read in READERS.items():
                found = outcome(read, folder, good[way])
                table[(f"{damaged.split('.')[0]}: {kind}", way, found.split()[0])] += 1
                if found.split()[0] in ("ACCEPTED", "TRACEBACK"):
                    bad.append(f"{number} {damaged} {kind} {way}: {found[:160]}")
            file.write_bytes(whole)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        unharmed = all(outcome(read, folder, good[way]) == "harmless" for way, read in READERS.items())
    print("| damage | reader | refused | harmless | accepted | traceback |\n|---|---|---|---|---|---|")
    for damage, way in sorted({key[:2] for key in table}):
        numbers = [table[(damage, way, found)] for found in ("refused", "harmless", "ACCEPTED", "TRACEBACK")]
        print(f"| {damage} | {way} | " + " | ".join(map(str, numbers)) + " |")
    largest = np.prod(SIZES[0]) * 4 * 2 / 2**20
    told = f"{len(bad)} accepted or with a traceback; good cases unharmed: {unharmed}"
    print(f"\n{count} damaged inputs, seed {seed}: {told}")
    print(f"memory beyond that of the good cases: {grown:.0f} MiB; the largest good case has {largest:.0f} MiB")
    print(*bad, sep="\n")
    if bad or not unharmed or grown > 2 * largest:
        raise SystemExit(1)


if __name__ == "__main__":
    fire.Fire(run)
