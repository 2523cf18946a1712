"""Volumes of a few voxels written as files, synthetic patients, and settings that train on them in seconds."""

import json

import nibabel as nib
import numpy as np
import pytest

from dam_components.synthetic import write_pelvic_dataset


def save_volume(file, array, spacing=(1, 1, 1), shift=0.0):
    affine = np.diag([*spacing, 1.0])
    affine[0, 3] = shift
    file.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(array), affine), file)
    return file


@pytest.fixture
def save():
    return save_volume


@pytest.fixture
def arrays():
    """Image and label of a case: noise, and a block of 1 in 0."""

    def make(seed, shape=(8, 8, 6)):
        image = np.random.default_rng(seed).normal(100, 10, shape).astype(np.float32)
        label = np.zeros(shape, np.uint8)
        label[2:5, 2:5, 2:4] = 1
        return image, label

    return make


@pytest.fixture
def decathlon(tmp_path, arrays):
    """Four cases in the Decathlon's layout: the folder, for tests to spoil."""
    folder = tmp_path / "data"
    entries = []
    for number in range(4):
        image, label = arrays(number)
        name = f"case{number}.nii.gz"
        save_volume(folder / "imagesTr" / name, image)
        save_volume(folder / "labelsTr" / name, label)
        entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    index = {"name": "Tiny", "modality": {"0": "MRI"}, "labels": {"0": "background", "1": "block"}}
    (folder / "dataset.json").write_text(json.dumps({**index, "numTraining": 4, "training": entries}))
    return folder


@pytest.fixture
def edit(decathlon):
    """Changes the dataset.json of ``decathlon``."""

    def change(**entries):
        index = json.loads((decathlon / "dataset.json").read_text())
        (decathlon / "dataset.json").write_text(json.dumps({**index, **entries}))
        return index

    return change


@pytest.fixture(scope="session")
def patients(tmp_path_factory):
    return write_pelvic_dataset(tmp_path_factory.mktemp("data") / "patients", cases=5, shape=(32, 32, 16))


@pytest.fixture(scope="session")
def tiny():
    return {
        "channels": [4, 4, 4, 4],
        "spacing": [10.0, 10.0, 6.0],  # volumes of 16 x 16 x 16
        "patch_size": [16, 16, 16],
        "patches_per_case": 1,
    }
