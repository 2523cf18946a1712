"""A coarser grid, where a window shows too little and the labels survive it."""

import nibabel as nib
import numpy as np
import pytest

from dam_components.data.dataset_layouts import read_dataset
from dam_components.planning.coarser_grid import coarser_spacings, dice_on_grid, plan_spacing
from dam_components.planning.dataset_check import check_dataset
from dam_components.planning.fingerprint import make_fingerprint

SHAPE = (60, 60, 32)
BALL = np.linalg.norm(np.indices(SHAPE).T * [1, 1, 1.5] - [28, 30, 24], axis=-1).T < 20
SHEET = np.zeros(SHAPE, bool)
SHEET[50, 10:50, 4:28] = True


@pytest.fixture
def dataset(tmp_path):
    """Images of 60 x 60 x 32 voxels of 1 x 1 x 1.5 mm, with the labels that are asked for; c has none."""

    def write(*structures):
        draw = np.random.default_rng(0)
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir()
        affine = np.diag([-1.0, 1.0, 1.5, 1.0])
        label = np.zeros(SHAPE, np.uint8)
        for value, mask in enumerate(structures, start=1):
            label[mask] = value
        for case in "abc":
            image = draw.normal(100, 10, SHAPE).astype(np.float32)
            nib.save(nib.Nifti1Image(image, affine), tmp_path / "images" / f"{case}.nii.gz")
            nib.save(nib.Nifti1Image(label * (case != "c"), affine), tmp_path / "labels" / f"{case}.nii.gz")
        found = read_dataset(tmp_path, "images", "labels")
        surveys, findings = check_dataset(found, progress=False)
        assert not [finding for finding in findings if finding.level == "error"]
        names = {value: f"s{value}" for value in range(1, len(structures) + 1)}
        return found, make_fingerprint(surveys, ["MRI"], names)

    return write


def test_a_window_that_shows_a_quarter_leaves_the_grid(dataset):
    assert plan_spacing(*dataset(BALL), patch_voxels=60 * 60 * 8, progress=False) == (1, 1, 1.5)


def test_a_thick_structure_survives_the_coarser_grid_on_which_a_window_shows_a_quarter(dataset):
    # 60 x 60 x 32 / 1.2^2 = 80 000 voxels: a quarter is 20 000
    assert plan_spacing(*dataset(BALL), patch_voxels=20_000, progress=False) == (1.2, 1.2, 1.5)
    # 1.5 meets the third axis, and then all three grow, to twice the finest
    tried = coarser_spacings((1.0, 1.0, 1.5), (60, 60, 48), 100)
    assert (tried[5], tried[6], tried[-1]) == ((1.5, 1.5, 1.5), (1.6, 1.6, 1.6), (2, 2, 2))


@pytest.mark.parametrize("structures", [(SHEET,), (BALL, SHEET)])
def test_a_thin_structure_keeps_the_grid_fine(dataset, structures):
    assert plan_spacing(*dataset(*structures), patch_voxels=20_000, progress=False) == (1, 1, 1.5)


def test_a_sheet_is_lost_across_and_kept_along():
    sheet = np.zeros((24, 24, 24), int)
    sheet[11:13, 4:20, 4:20] = 1
    assert dice_on_grid(sheet, (1, 1, 1), (1, 2, 2))[1] > 0.95
    assert dice_on_grid(sheet, (1, 1, 1), (4, 1, 1))[1] < 0.8
    assert dice_on_grid(np.zeros((4, 4, 4), int), (1, 1, 1), (2, 2, 2)) == {}


def test_a_label_at_the_border_and_a_missing_number_are_no_fault():
    label = np.zeros((12, 12, 12), int)
    label[:4], label[8:] = 1, 3
    assert dice_on_grid(label, (1, 1, 1), (2, 2, 2)) == pytest.approx({1: 1.0, 3: 1.0}, abs=0.01)
