"""A small dataset with weights and a calibration, and ways to damage each of its files."""

from __future__ import annotations

import gzip
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

__all__ = ["CASES", "DAMAGES", "make_data"]

CASES = {"c0": ((64, 64, 64), ".nii.gz"), "c1": ((48, 48, 32), ".nii.gz"), "c2": ((48, 48, 32), ".mha")}
SPACING = (1.0, 1.0, 2.0)
FIELDS = {  # of a NIfTI header: where, kind of number, and what is put there
    "dim": ("40", "h", (-1, 0, 7, 750, 32767)),
    "type": ("70", "h", (1, 2, 8, 64, 128, 999)),
    "affine": ("280", "f", (0.0, float("nan"), float("inf"), -3.0, 1e9)),
    "pixdim": ("80", "f", (0.0, float("nan"), -1.0, 1e9)),
    "offset": ("108", "f", (-1.0, 16.0, 1e9)),
    "size": ("0", "i", (0, 540, -1)),
    "slope": ("112", "f", (float("nan"), float("inf"), 1e30)),
    "units": ("123", "B", (1, 3, 255)),
}


def make_data(folder: Path) -> None:
    """Three cases in the Decathlon's layout, NIfTI and MetaImage, and a split that trains on the second and third."""
    entries = []
    for number, (case, (size, ending)) in enumerate(CASES.items()):
        draw = np.random.default_rng(number)
        label = np.zeros(size, np.uint8)
        label[10:30, 10:30, 10:30] = 1
        image = (draw.normal(100, 20, size) + 50 * label).astype(np.float32)
        for part, array, form in (("imagesTr", image, ending), ("labelsTr", label, ".nii.gz")):
            (folder / part).mkdir(parents=True, exist_ok=True)
            write(folder / part / f"{case}{form}", array)
        entries.append({"image": f"imagesTr/{case}{ending}", "label": f"labelsTr/{case}.nii.gz"})
    index = {"name": "fuzz", "modality": {"0": "MR"}, "labels": {"0": "background", "1": "a"}, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(index))
    split = {"train": ["c1", "c2"], "validation": [], "test": ["c0"]}
    (folder / "folds.json").write_text(json.dumps({"cases": [*CASES], "splits": [split]}))


def write(file: Path, array: np.ndarray) -> None:
    """The same grid in both formats."""
    if file.suffix == ".mha":
        image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
        image.SetSpacing(SPACING)
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # LPS to RAS
        sitk.WriteImage(image, str(file), useCompression=True)
    else:
        nib.save(nib.Nifti1Image(array, np.diag([*SPACING, 1.0])), file)


def bits(file: Path, draw: random.Random) -> str:
    """Flips one to eight bits anywhere; of MetaImage, whose text has no checksum, in its voxels."""
    raw = bytearray(file.read_bytes())
    begin = raw.index(b"LOCAL\n") + 6 if file.suffix == ".mha" else 0
    for _ in range(draw.randint(1, 8)):
        raw[draw.randrange(begin, len(raw))] ^= 1 << draw.randrange(8)
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
    axis = draw.randrange(1, 4) if name in ("dim", "affine", "pixdim") else 0
    value = draw.choice(values)
    if name == "affine" and axis == 3 and value == -3.0:  # of an origin, some millimetres cannot be told from right
        value = 1e9
    struct.pack_into(f"<{kind}", raw, int(place) + axis * struct.calcsize(kind), value)
    file.write_bytes(gzip.compress(bytes(raw)))
    return f"header {name}"


def values(file: Path, draw: random.Random) -> str:
    """Puts a wrong value into an image or a label."""
    image = nib.load(file)
    array = np.asarray(image.dataobj).astype(np.float32)
    array.flat[draw.randrange(array.size)] = draw.choice([np.nan, np.inf, -np.inf])
    nib.save(nib.Nifti1Image(array, image.affine), file)
    return "values"


def label_value(file: Path, draw: random.Random) -> str:
    """Puts a value that is no class into a label."""
    image = nib.load(file)
    array = np.asarray(image.dataobj).astype(np.float32)
    array.flat[draw.randrange(array.size)] = draw.choice([2, 255, -1, 0.5, 1.01, 7e8])
    nib.save(nib.Nifti1Image(array, image.affine), file)
    return "label value"


def placed(file: Path, draw: random.Random) -> str:
    """Gives a label another place than its image's: mirrored, shifted or of another spacing."""
    image = nib.load(file)
    affine = image.affine @ np.diag([*draw.choice([(-1, 1, 1), (1, -1, 1), (1.1, 1, 1), (1, 1, 0.5)]), 1.0])
    affine[:3, 3] += draw.choice([0.0, 1.5, -40.0])
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), file)
    return "placed"


def text(file: Path, draw: random.Random) -> str:
    """Takes a character out of a JSON, or puts another in its place."""
    content = file.read_text()
    place = draw.randrange(len(content))
    file.write_text(content[:place] + draw.choice(["", "x", "9", '"', "{", "-", "NaN"]) + content[place + 1 :])
    return "text"


Damage = Callable[[Path, random.Random], str]
DAMAGES: dict[str, tuple[Damage, ...]] = {
    "data/imagesTr/c1.nii.gz": (bits, bits, cut, header, header, values),
    "data/imagesTr/c2.mha": (bits, cut),
    "data/labelsTr/c1.nii.gz": (bits, bits, cut, header, header, values, label_value, placed),
    "data/dataset.json": (text, cut),
    "model/models/calibration.json": (text, cut),
    "model/models/model.pt": (bits, cut),
    "model/models/model_confidence.pt": (bits, cut),
}
