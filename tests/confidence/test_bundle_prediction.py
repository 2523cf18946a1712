"""predict_with_bundle: a bundle's own network, preprocessing and inferer, back on the image's own grid."""

import json

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from dam_components.confidence.bundle_prediction import predict_with_bundle

SHAPE = (10, 12, 14)


def write_bundle(folder, channels=2, **changed):
    """A zoo-like bundle whose network calls bright voxels 1; it turns and resamples the image."""
    network = nn.Conv3d(1, channels, 1)
    with torch.no_grad():
        network.weight.zero_()
        network.weight[-1] = 20
        network.bias.zero_()
        network.bias[-1] = -10
    config = {
        "network_def": {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": channels, "kernel_size": 1},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [1, 1, 1]},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16]},
        **changed,
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    config = {name: entry for name, entry in config.items() if entry is not None}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


@pytest.fixture
def image(tmp_path):
    values = np.zeros(SHAPE, np.float32)
    values[1:5, 2:9, 3:12] = 1
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-2.0, -1.0, 1.5, 1.0])), tmp_path / "a_0000.nii.gz")
    return {"a": str(tmp_path / "a_0000.nii.gz")}, values


def test_probabilities_lie_on_the_images_own_grid(tmp_path, image):
    images, values = image
    predict_with_bundle(write_bundle(tmp_path / "zoo"), images, tmp_path / "out")
    p = np.load(tmp_path / "out" / "a.npz")["probabilities"].transpose(0, 3, 2, 1)
    assert p.shape == (2, *SHAPE)
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-5)
    assert ((p[1] > 0.5) == (values > 0.5)).mean() > 0.97  # but for the rim, which was interpolated


WRONG = {
    "one channel": ({"channels": 1}, "gives must have 2 channels or more, got 1: classes must exclude"),
    "sigmoid": (
        {"postprocessing": {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}},
        "ends in sigmoids",
    ),
    "no inferer": ({"inferer": None}, "has no inferer"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_d_cannot_stand_behind_is_told(tmp_path, image, kind):
    changed, message = WRONG[kind]
    with pytest.raises(ValueError, match=message):
        predict_with_bundle(write_bundle(tmp_path / "zoo", **changed), image[0], tmp_path / "out")


def test_a_folder_that_is_no_bundle_is_told(tmp_path, image):
    with pytest.raises(FileNotFoundError, match="is no bundle"):
        predict_with_bundle(tmp_path, image[0], tmp_path / "out")
