"""BundleSpacingd: MONAI's Spacingd, also among entries that a server adds."""

import torch
from monai.data import MetaTensor
from monai.transforms import Spacingd

from dam_components.transforms import BundleSpacingd


def image():
    torch.manual_seed(0)
    return MetaTensor(torch.rand(1, 8, 8, 4), affine=torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0])))


def test_it_is_monais_spacing_and_inverts():
    options = {"pixdim": (1.0, 1.0, 1.5), "mode": "bilinear"}
    transform = BundleSpacingd("image", **options)
    ours, monais = (kind({"image": image()})["image"] for kind in (transform, Spacingd("image", **options)))
    torch.testing.assert_close(ours, monais)
    assert ours.shape != image().shape
    back = transform.inverse({"image": ours})["image"]
    assert back.shape == image().shape


def test_entries_named_after_the_image_pass_untouched():
    # MONAI Label puts the string image_path beside the image
    data = {"image": image(), "image_path": "/somewhere/a.nii.gz", "image_count": 3, "result": {}}
    spaced = BundleSpacingd("image", pixdim=(1.0, 1.0, 1.5))(data)
    torch.testing.assert_close(spaced["image"], Spacingd("image", pixdim=(1.0, 1.0, 1.5))({"image": image()})["image"])
    assert {key: spaced[key] for key in ("image_path", "image_count", "result")} == {
        "image_path": "/somewhere/a.nii.gz",
        "image_count": 3,
        "result": {},
    }
    assert sorted(data) == ["image", "image_count", "image_path", "result"]
