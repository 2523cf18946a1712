"""Atlases: labelled cases, the most similar ones chosen for an image and registered onto it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d
from tqdm import tqdm

from dam_study.baselines.registration import Registration

__all__ = ["Atlases", "thumbnail"]


class Atlases:
    """Labelled cases that an image takes its labels from.

    Volumes are read when they are needed, so memory holds few of them; thumbnails of all cases are kept.

    Args:
        cases: dictionaries with ``image``, ``label`` and ``case``, as
            :func:`~dam_components.data.decathlon_split` gives them.
        preprocessing: reads such a dictionary: image ``(K, ...)`` and label ``(1, ...)`` on one grid and, over all
            cases, with one spacing.
        spacing_mm: that spacing.
        count: how many are registered onto an image, the most similar ones; ``None`` is all.

    Raises:
        ValueError: without cases, or with a count below 1.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        preprocessing: Callable[[Any], Any],
        spacing_mm: Sequence[float],
        count: int | None = None,
    ) -> None:
        if not cases:
            raise ValueError("there must be at least one atlas, got none: is the fold's training part empty?")
        if count is not None and count < 1:
            raise ValueError(f"atlases must be at least 1, or None for all, got {count}")
        self.names = [str(case.get("case", number)) for number, case in enumerate(cases)]
        self.cases = Dataset(cases, preprocessing)
        self.spacing_mm = tuple(spacing_mm)
        self.count = count
        self._thumbnails: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.cases)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image ``(K, ...)``, float32, and label ``(...)``, uint8."""
        case = self.cases[index]
        return np.asarray(case["image"], np.float32), np.asarray(case["label"][0]).astype(np.uint8)

    def most_similar(self, image: np.ndarray) -> list[int]:
        """The ``count`` cases whose thumbnails correlate most with the image's, best first."""
        if self.count is None or self.count >= len(self):
            return list(range(len(self)))
        if self._thumbnails is None:
            numbers = tqdm(range(len(self)), desc="look at atlases", leave=False)
            self._thumbnails = torch.stack([thumbnail(self.read(number)[0]) for number in numbers])
        correlation = self._thumbnails @ thumbnail(image)
        return correlation.argsort(descending=True, stable=True)[: self.count].tolist()

    def onto(self, image: np.ndarray, registration: Registration) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Image and label of the most similar atlases on the grid of an image ``(K, ...)``, one after the other.

        The first channels are registered. An atlas on which the registration fails is left out, with a warning.

        Raises:
            ValueError: if it fails on all.
        """
        done = 0
        for index in tqdm(self.most_similar(image), desc="register atlases", leave=False):
            other, label = self.read(index)
            try:
                warp = registration(image[0], other[0], self.spacing_mm)
            except RuntimeError as error:
                reason = str(error).strip().splitlines()[-1]
                logging.getLogger(__name__).warning("atlas %s is left out: %s", self.names[index], reason)
                continue
            done += 1
            yield np.stack([warp(channel) for channel in other]), warp(label, nearest=True)
        if not done:
            raise ValueError("no atlas could be registered onto the image: is it of the training cases' kind?")


def thumbnail(image: np.ndarray, size: int = 16) -> torch.Tensor:
    """The first channel as ``size`` voxels an axis, with mean 0 and norm 1, flat: two such have their correlation as
    scalar product.

    Example:
        >>> image = np.random.default_rng(0).normal(size=(1, 20, 24, 18))
        >>> round(float(thumbnail(image) @ thumbnail(3 * image + 2)), 4)
        1.0
    """
    small = torch.as_tensor(image[:1], dtype=torch.float32)
    pool = adaptive_avg_pool2d if small.ndim == 3 else adaptive_avg_pool3d
    flat = pool(small, size).flatten()
    flat = flat - flat.mean()
    return flat / flat.norm().clamp_min(1e-12)
