"""Two synthetic MR scanners: how bright each tissue is, and what coils, electronics and noise make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dam_components.synthetic.pelvic_canvas import smooth_field

__all__ = ["SCANNERS", "Scanner", "acquire"]

_BRIGHTNESS = {  # of each tissue on T2, on the first scanner and on the second
    "air": (0.0, 0.0),
    "fat": (0.85, 0.60),
    "muscle": (0.20, 0.15),
    "marrow": (0.52, 0.34),
    "cortex": (0.06, 0.05),
    "cartilage": (0.36, 0.28),
    "vessel": (0.08, 0.20),
    "bowel": (0.45, 0.40),
    "fluid": (1.15, 1.30),
    "wall": (0.29, 0.25),
    "gland": (0.42, 0.34),
    "zone": (0.70, 0.62),
    "sphincter": (0.40, 0.33),
    "mucosa": (0.50, 0.45),
    "stool": (0.33, 0.38),
}


@dataclass(frozen=True)
class Scanner:
    """One scanner.

    Attributes:
        index: which column of the tissues' brightness.
        gain: arbitrary units per unit of brightness.
        bias: standard deviation of the bias field's logarithm.
        coil: logarithm of the gain 100 mm in front of or behind the centre, relative to the centre.
        noise: standard deviation in each of the two channels, in units of brightness.
    """

    index: int
    gain: float
    bias: float
    coil: float
    noise: float

    def tissue(self, rng: Generator) -> dict[str, float]:
        """Brightness by tissue, 5 % of it varying by subject."""
        return {name: values[self.index] * rng.normal(1, 0.05) for name, values in _BRIGHTNESS.items()}


SCANNERS = (
    Scanner(index=0, gain=420.0, bias=0.10, coil=0.25, noise=0.025),
    Scanner(index=1, gain=1250.0, bias=0.22, coil=0.45, noise=0.045),
)


def acquire(
    brightness: np.ndarray, axes: Sequence[np.ndarray], scanner: Scanner, rng: Generator, noise: Generator
) -> np.ndarray:
    """The image of painted tissue: surface coils, bias field, Rician noise and gain.

    ``gain * |brightness * exp(bias field + coils) + n1 + i n2|`` with normal n1 and n2.

    Args:
        brightness: of each voxel.
        axes: coordinates along x, y and z in mm.
        scanner: whose image it is.
        rng: draws bias field, noise level and gain of the subject.
        noise: draws each voxel's noise.

    Returns:
        float32 array, never negative.
    """
    log_gain = scanner.bias * smooth_field(rng, 110.0, axes)
    log_gain += scanner.coil * (axes[1][:, None] / np.float32(100)) ** 2
    image = brightness * np.exp(log_gain)
    level = np.float32(scanner.noise * rng.uniform(0.8, 1.3))
    image += level * noise.standard_normal(image.shape, dtype=np.float32)
    image = np.hypot(image, level * noise.standard_normal(image.shape, dtype=np.float32))
    image *= np.float32(scanner.gain * rng.uniform(0.85, 1.2))
    return image
