"""Slices for the figures: which, of which cases, and in which grid."""

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from dam_study.handlers import KeptSlices
from dam_study.handlers.kept_slices import telling_slices

SHAPE = (5, 4, 9)


def area_label(areas):
    """A label with that many voxels in each slice."""
    label = np.zeros((5, 4, len(areas)))
    for z, area in enumerate(areas):
        label[..., z].flat[:area] = 1
    return label


def test_the_largest_slice_counts_all_structures():
    label = area_label([0, 2, 3, 0])
    label[4, :, 1] = 2  # four more
    assert telling_slices(label, regions=False) == {"largest": 1}


@pytest.mark.parametrize(
    ("apex_first", "slices"),
    [(True, {"base": 7, "middle": 5, "apex": 2}), (False, {"base": 2, "middle": 5, "apex": 7})],
)
def test_regions_are_the_middle_slices_of_the_thirds_of_the_label(apex_first, slices):
    # slices 1..8, eight of them: thirds of 3, 2 and 3: 1-3, 4-5, 6-8; the middle of the even count is the upper one: 5
    label = area_label([0, 1, 1, 1, 1, 1, 1, 1, 1, 0])
    assert telling_slices(label, True, apex_first) == slices


def test_a_third_without_label_is_shown_where_the_label_is_largest():
    # one slice: it is all middle
    assert telling_slices(area_label([0, 0, 3, 0]), regions=True) == {"base": 2, "middle": 2, "apex": 2}


@pytest.fixture
def evaluation(tmp_path):
    """Files of cases on disk, and an evaluator that predicts each label moved by nothing with confidence 1/4."""

    def run(count=4, flipped=False, slices_first=False, **options):
        affine = np.diag([1.0, 1.0, -3.0 if flipped else 3.0, 1.0])
        affine = affine[:, [2, 0, 1, 3]] if slices_first else affine

        def stored(volume):
            return np.moveaxis(volume, -1, 0).copy() if slices_first else volume

        batches = []
        for n in range(count):
            label = area_label([0, 1, 1, 4, 1, 1, 1, 0, 0])
            label, image = stored(label), stored(np.random.default_rng(n).normal(size=SHAPE))
            for kind, volume, dtype in (("image", image, np.float32), ("label", label, np.uint8)):
                nib.save(nib.Nifti1Image(volume.astype(dtype), affine), tmp_path / f"{kind}_c{n}.nii.gz")
            files = {kind: str(tmp_path / f"{kind}_c{n}.nii.gz") for kind in ("image", "label")}
            # as preprocessing left it: another size, with the file's name in the metadata
            item = {k: MetaTensor(torch.zeros(1, 2, 2, 2), meta={"filename_or_obj": f}) for k, f in files.items()}
            pred = {"pred": torch.as_tensor(label)[None], "confidence": torch.full((1, *label.shape), 0.25)}
            batches.append((item, pred))

        def step(engine, batch):
            engine.state.batch = [batch[0]]
            return [batch[1]]

        evaluator = Engine(step)
        handler = KeptSlices(tmp_path / "slices.npz", **options)
        handler.attach(evaluator)
        evaluator.run(batches)
        return dict(np.load(tmp_path / "slices.npz"))

    return run


def test_the_first_cases_in_the_files_grid(evaluation, tmp_path):
    arrays = evaluation()
    assert {*arrays} == {
        f"label_c{n}/largest/{key}" for n in range(3) for key in ("image", "label", "prediction", "confidence")
    }
    image = nib.load(tmp_path / "image_c1.nii.gz").get_fdata()
    np.testing.assert_array_equal(arrays["label_c1/largest/image"], image[..., 3].astype(np.float32))
    assert arrays["label_c1/largest/label"].sum() == arrays["label_c1/largest/prediction"].sum() == 4
    assert (arrays["label_c1/largest/confidence"] == 0.25).all()


def test_cases_and_regions_are_options(evaluation):
    arrays = evaluation(cases=1, regions=True)
    assert {name.rsplit("/", 1)[0] for name in arrays} == {f"label_c0/{r}" for r in ("base", "middle", "apex")}


def test_a_file_that_runs_from_head_to_foot_has_its_base_first(evaluation):
    # slices 1..6, thirds 1-2, 3-4, 5-6: the apex third's upper middle is 6 head up, 2 head down; told by the image
    up, down = evaluation(regions=True), evaluation(regions=True, flipped=True)
    np.testing.assert_array_equal(up["label_c0/apex/image"], down["label_c0/base/image"])
    assert not np.array_equal(up["label_c0/apex/image"], up["label_c0/base/image"])


def test_axial_slices_are_found_along_whatever_axis_the_file_has_them(evaluation):
    axial, moved = (evaluation(count=1, regions=True, slices_first=first) for first in (False, True))
    assert axial.keys() == moved.keys()
    assert all(np.array_equal(axial[name], moved[name]) for name in axial)
