"""LoadProbabilitiesd: P̂ of a file on the grid to which its image has been brought."""

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, Spacingd

from dam_components.transforms import LoadProbabilitiesd
from dam_components.transforms.load_probabilities import on_grid_of

SHAPE = (6, 8, 10)


@pytest.fixture
def files(tmp_path):
    """An image whose axes run left, back and up, with probabilities that are its values and their rest."""
    values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    affine = np.diag([-2.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = (5, 6, 7)
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "a.nii.gz")
    np.savez(tmp_path / "a.npz", probabilities=np.stack([1 - values, values]).transpose(0, 3, 2, 1))
    return {"image": str(tmp_path / "a.nii.gz"), "probabilities": str(tmp_path / "a.npz")}


def pipeline(*steps, **options):
    read = [LoadImaged("image"), EnsureChannelFirstd("image")]
    return Compose([*read, *steps, LoadProbabilitiesd("probabilities", num_classes=2, **options)])


def test_turns_and_flips_of_the_image_are_repeated_exactly(files):
    item = pipeline(Orientationd("image", axcodes="ASR", labels=None))(files)
    assert tuple(item["image"].shape[1:]) == (8, 10, 6)
    torch.testing.assert_close(
        item["probabilities"][1], item["image"][0].as_tensor(), check_dtype=False, rtol=0, atol=0
    )
    torch.testing.assert_close(item["probabilities"].affine, item["image"].affine)


def test_flips_are_written_over_what_was_read():
    stored = torch.rand(3, *SHAPE).transpose(1, 3)
    expected = stored.flip(1).clone()
    affine = torch.eye(4, dtype=torch.float64)
    affine[0, 3] = -(SHAPE[-1] - 1)
    image = MetaTensor(torch.zeros(1, *SHAPE[::-1]), affine=affine)
    image.meta["original_affine"] = np.diag([-1.0, 1, 1, 1])
    placed = on_grid_of(stored, image)
    assert placed.data_ptr() == stored.data_ptr()
    torch.testing.assert_close(placed.as_tensor(), expected, rtol=0, atol=0)


def test_another_spacing_is_interpolated_and_sums_to_one(files):
    steps = (Orientationd("image", axcodes="RAS", labels=None), Spacingd("image", pixdim=(1.5, 1.5, 1.5)))
    item = pipeline(*steps)(files)
    assert item["probabilities"].shape[1:] == item["image"].shape[1:]
    torch.testing.assert_close(item["probabilities"].sum(0).as_tensor(), torch.ones(item["image"].shape[1:]))
    torch.testing.assert_close(item["probabilities"][1].as_tensor(), item["image"][0].as_tensor(), rtol=0, atol=1e-5)


def test_probabilities_of_a_resampled_image_are_refused(files, tmp_path):
    np.savez(tmp_path / "a.npz", probabilities=np.full((2, 5, 8, 6), 0.5, np.float32))
    step = Spacingd("image", pixdim=(2, 1, 2))  # the image now has that shape, its file has not
    with pytest.raises(RuntimeError) as error:
        pipeline(step)(files)
    assert "lies on another grid than its image" in str(error.value.__cause__)


def test_swapped_axes_of_equal_size_are_told_by_the_label(tmp_path):
    label = np.zeros((8, 8, 8), np.float32)
    label[1:3, 2:7, 4:6] = 1
    nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), tmp_path / "a.nii.gz")
    np.savez(tmp_path / "a.npz", probabilities=np.stack([1 - label, label]))  # x first, not z
    names = dict.fromkeys(("image", "label"), str(tmp_path / "a.nii.gz"))
    read = [LoadImaged(("image", "label")), EnsureChannelFirstd(("image", "label"))]
    load = LoadProbabilitiesd("probabilities", num_classes=2, label_key="label")
    with pytest.raises(RuntimeError) as error:
        Compose([*read, load])({**names, "probabilities": str(tmp_path / "a.npz")})
    assert "only with the axes x and z swapped" in str(error.value.__cause__)


def test_it_takes_one_key():
    with pytest.raises(ValueError, match="one key"):
        LoadProbabilitiesd(["a", "b"], num_classes=2)
