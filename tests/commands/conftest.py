"""Synthetic patients, and settings that train on them in seconds."""

import pytest

from dam_components.data import write_pelvic_dataset


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
