"""Writes synthetic CT volumes with one organ, to try the configurations on: make_data.py FOLDER [CASES]."""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from monai.data import create_test_image_3d


def make_data(folder: Path, cases: int = 6, size: int = 40) -> None:
    """``imagesTr`` in Hounsfield units and ``labelsTr`` with 1 for the organ, at 1.5 x 1.5 x 2 mm."""
    affine = np.diag([1.5, 1.5, 2.0, 1.0])
    for case in range(cases):
        image, label = create_test_image_3d(
            size, size, size, num_objs=2, rad_max=size // 4, rad_min=size // 8, num_seg_classes=1, noise_max=0.3,
            random_state=np.random.RandomState(case),
        )  # fmt: skip
        for part, array in (("imagesTr", 160 * image - 40), ("labelsTr", label)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array.astype(np.int16), affine), folder / part / f"ct_{case}.nii.gz")


if __name__ == "__main__":
    make_data(Path(sys.argv[1]), *map(int, sys.argv[2:]))
