"""Hard test cases: what goes wrong in a scanner, done to a good case by MONAI's transforms."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import Compose, MapTransform, NormalizeIntensityd, ScaleIntensityd

from dam_components.data.hard_faults import FAULTS

__all__ = ["HARD_KINDS", "HardCased", "kinds_in_turn"]

HARD_KINDS: dict[str, str] = {
    "noise": "white Gaussian noise, as strong as the image's own contrast",
    "bias_field": "a smooth multiplicative field, polynomials of degree 3",
    "motion": "blur along one axis and a spike in k-space, which lays stripes over the image",
    "contrast": "a gamma that crushes dark or bright tissue, and a shifted histogram",
    "inversion": "dark tissue bright and bright tissue dark, and a gamma: another sequence",
    "shifted_crop": "the field of view shifted, so that a third of the structure's extent along one axis is cut off",
    "blur": "blur along all axes",
    "thick_slices": "slices two to five times as thick along one axis",
    "ringing": "the outer part of k-space missing: Gibbs ringing",
    "ghosting": "a copy of the image over it, half a field of view away",
    "saturation": "bright tissue all alike, as with a full receiver",
    "hot_spot": "a few voxels far brighter than all tissue, which leave the rest little contrast",
    "blackout": "boxes without a signal",
    "half_lost": "no signal from one side of the image up to its middle",
    "turn": "image and label turned by 90 degrees: a wrong orientation in the header",
    "zoom": "image and label larger or smaller by a quarter to a half: a wrong spacing in the header",
    "distortion": "image and label stretched here and squeezed there",
}


def kinds_in_turn(kinds: Iterable[str], severities: Sequence[float], number: int) -> Iterator[tuple[str, float]]:
    """Each kind with a severity; the kinds of a case take them in turn, those of the next case shifted by one.

    Args:
        kinds: of :data:`HARD_KINDS`.
        severities: one or more.
        number: of the case, from 0.

    Example:
        >>> [*kinds_in_turn(["noise", "blur", "turn"], (0.5, 1.0), number=1)]
        [('noise', 1.0), ('blur', 0.5), ('turn', 1.0)]
    """
    for turn, kind in enumerate(kinds, start=number):
        yield kind, severities[turn % len(severities)]


class HardCased(MapTransform):
    """Makes a preprocessed case hard, in one of the ways of :data:`HARD_KINDS`.

    The image is brought to [0, 1], spoilt, and normalised to mean 0 and standard deviation 1 again, as an
    image spoilt in the scanner would be. What moves things in the image moves the label alike; shapes stay. What is
    drawn depends on ``seed``, the kind and the case's name alone, so a case is made hard in the same way in any order
    and any process. The input is left as it is.

    Shapes: image ``(C, ...)`` and label ``(1, ...)`` of the same spatial shape, 2D or 3D, in and out.

    Args:
        keys: the image and the label.
        kind: one of :data:`HARD_KINDS`.
        severity: 1 is hard, 0.5 half as far; shifted_crop takes at most 2.
        seed: of the whole set of hard cases.
        case_key: the case's name in the data.

    Raises:
        ValueError: for an unknown kind, a severity that is not positive, or keys that are not two.

    Example:
        >>> import torch
        >>> case = {"image": torch.rand(1, 8, 8, 8), "label": torch.ones(1, 8, 8, 8), "case": "a"}
        >>> hard = HardCased(("image", "label"), "noise", seed=3)
        >>> bool((hard(case)["image"] == hard(case)["image"]).all()), bool((hard(case)["image"] == case["image"]).any())
        (True, False)
    """

    def __init__(
        self,
        keys: Sequence[Hashable],
        kind: str,
        severity: float = 1.0,
        seed: int = 0,
        case_key: Hashable = "case",
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 2:
            raise ValueError(f"keys must name the image and the label, got {list(self.keys)}")
        if kind not in HARD_KINDS:
            raise ValueError(f"kind must be one of {', '.join(HARD_KINDS)}, got {kind!r}")
        if not 0 < severity < math.inf or (kind == "shifted_crop" and severity > 2):
            raise ValueError(f"severity must be positive, and at most 2 for shifted_crop, got {severity}: 1 is hard")
        self.kind = kind
        self.severity = severity
        self.seed = seed
        self.case_key = case_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        text = f"{self.seed}/{self.kind}/{data[self.case_key]}"
        draw = np.random.RandomState(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big"))
        fault = FAULTS[self.kind](self.keys[0], self.keys[1], self.severity, draw, data)
        spoil = Compose(
            [
                ScaleIntensityd(self.keys[0], channel_wise=True),
                *fault,
                NormalizeIntensityd(self.keys[0], channel_wise=True),
            ]
        )
        spoil.set_random_state(seed=int(draw.randint(2**31)))
        return spoil(dict(data))
