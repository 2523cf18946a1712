"""Writes small synthetic volumes for the configurations: make_data.py ct|mr|multichannel FOLDER [CASES [SIZE]]."""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from monai.data import create_test_image_3d

AFFINES = {  # axes to the left and back, as many scanners write them, and voxels that are no cubes
    "ct": np.diag([-1.5, -1.5, 3.0, 1.0]),
    "mr": np.diag([-0.5, -0.5, 1.0, 1.0]),
    "multichannel": np.diag([-1.0, -1.0, 1.0, 1.0]),
}


def volume(case: int, size: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of two balls."""
    shape = (size, size + 4, size - 4)  # no two axes are equal
    image, label = create_test_image_3d(
        *shape, num_objs=4, rad_max=size // 4, rad_min=size // 8, num_seg_classes=classes, noise_max=0.2,
        random_state=np.random.RandomState(case),
    )  # fmt: skip
    return image, label


def save(array: np.ndarray, kind: str, file: Path) -> str:
    """Writes the volume and gives the name of its file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINES[kind]), file)
    return file.name


def make_ct(folder: Path, cases: int, size: int) -> None:
    """The Decathlon's folders, in Hounsfield units."""
    for case in range(cases):
        image, label = volume(case, size, 1)
        hounsfield = (160 * image - 40).astype(np.int16)
        for part, array in (("imagesTr", hounsfield), ("labelsTr", label.astype(np.uint8)), ("imagesTs", hounsfield)):
            save(array, "ct", folder / part / f"ct_{case}.nii.gz")


def make_mr(folder: Path, cases: int, size: int) -> None:
    """Cases listed in CSV files."""
    rows = []
    for case in range(cases):
        image, label = volume(case, size, 2)
        names = [save(image.astype(np.float32), "mr", folder / f"mr_{case}.nii.gz")]
        names.append(save(label.astype(np.uint8), "mr", folder / f"mr_{case}_label.nii.gz"))
        rows.append(names)
    table = pd.DataFrame(rows, columns=["t2", "t2_anatomy_reader1"])
    for name, part in (("train", table[:-1]), ("valid", table[-1:]), ("test", table[-1:])):
        part.to_csv(folder / f"{name}.csv", index=False)


def make_multichannel(folder: Path, cases: int, size: int) -> None:
    """Four files a case and labels 0, 1, 2 and 4, listed in datalist.json."""
    entries = []
    for case in range(cases):
        image, label = volume(case, size, 3)
        names = [
            save((image + 0.1 * channel).astype(np.float32), "multichannel", folder / f"mc_{case}_{channel}.nii.gz")
            for channel in range(4)
        ]
        label[label == 3] = 4
        marked = save(label.astype(np.uint8), "multichannel", folder / f"mc_{case}_label.nii.gz")
        entries.append({"image": names, "label": marked})
    lists = {"training": entries[:-1], "validation": entries[-1:], "testing": [{"image": entries[-1]["image"]}]}
    (folder / "datalist.json").write_text(json.dumps(lists))


def make_data(kind: str, folder: Path, cases: int = 4, size: int = 40) -> None:
    """Data for the look-alike of this name."""
    {"ct": make_ct, "mr": make_mr, "multichannel": make_multichannel}[kind](folder, cases, size)


if __name__ == "__main__":
    make_data(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
