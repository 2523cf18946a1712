"""A label against its image, and what a served copy of a bundle holds. On a live server: label_app/test_attacks.py."""

import importlib
import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture(scope="module", params=["lib.label_check", "serve"])
def module(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "label_app")
        yield importlib.import_module(request.param)


def volume(*shape):
    return nib.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4))


@pytest.mark.parametrize("module", ["lib.label_check"], indirect=True)
@pytest.mark.parametrize(
    ("image", "label", "taken"),
    [
        ((4, 5, 6), (4, 5, 6), True),
        ((4, 5, 6, 2), (4, 5, 6), True),  # an image of two channels
        ((4, 5, 6, 1), (4, 5, 6), True),
        ((4, 5, 6), (4, 5, 5), False),
        ((4, 5, 6, 2), (4, 5, 6, 2), False),  # a label has one
    ],
)
def test_a_label_has_the_voxels_of_its_image(module, tmp_path, image, label, taken):
    nib.save(volume(*image), tmp_path / "image.nii.gz")
    datastore = SimpleNamespace(get_image_uri=lambda name: tmp_path / "image.nii.gz")
    app = SimpleNamespace(datastore=lambda: datastore, info=lambda: {"models": {"m": {"labels": ["liver"]}}})
    nib.save(volume(*label), tmp_path / "label.nii.gz")
    upload = SimpleNamespace(filename="a.nii.gz", file=io.BytesIO((tmp_path / "label.nii.gz").read_bytes()))
    if taken:
        module.check_label(app, "image", upload)
    else:
        with pytest.raises(module.Refused, match="has shape"):
            module.check_label(app, "image", upload)


@pytest.mark.parametrize("module", ["serve"], indirect=True)
def test_a_served_copy_keeps_the_code_of_a_packaged_bundle(module, tmp_path):
    bundle = tmp_path / "bundle"
    for file in ("configs/inference.json", "scripts/data/folds.py", "output/run/model.pt", "data/a.nii.gz"):
        (bundle / file).parent.mkdir(parents=True, exist_ok=True)
        (bundle / file).touch()
    shutil.copytree(bundle, tmp_path / "copy", ignore=module.without_results(bundle))
    copied = {
        file.relative_to(tmp_path / "copy").as_posix() for file in (tmp_path / "copy").rglob("*") if file.is_file()
    }
    assert copied == {"configs/inference.json", "scripts/data/folds.py"}
