"""Small smooth volumes, and cases as preprocessing gives them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter


@pytest.fixture(scope="session")
def texture():
    """A smooth random volume of 24 x 20 x 16 voxels, by seed."""

    def make(seed=0):
        noise = np.random.default_rng(seed).normal(size=(24, 20, 16))
        smooth = gaussian_filter(noise, 2.5)
        return (smooth / smooth.std()).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def ball_case():
    """A bright ball in noise, as a preprocessed case; its middle is moved by ``shift`` voxels."""

    def make(shift=(0, 0, 0), name="ball", seed=0):
        grid = np.meshgrid(*(np.arange(n) for n in (16, 14, 12)), indexing="ij")
        middle = [7.5 + shift[0], 6.5 + shift[1], 5.5 + shift[2]]
        label = sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True)) < 3.6**2
        noise = np.random.default_rng(seed).normal(0, 0.15, label.shape)
        image = gaussian_filter(2.0 * label, 0.7) + noise
        return {"image": image[None].astype(np.float32), "label": label[None].astype(np.uint8), "case": name}

    return make
