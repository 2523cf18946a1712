"""Label fusion: what several registered atlases say together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from dam_study.baselines.simple_itk import simple_itk, to_itk

__all__ = ["FUSIONS", "fuse_labels"]

FUSIONS = ("majority", "weighted", "staple")
LEAST = 1e-6  # squared difference of intensities, so that equal patches have a finite weight


def fuse_labels(
    atlases: Iterable[tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    num_classes: int,
    fusion: str = "majority",
    radius: int = 2,
    power: float = 2.0,
) -> np.ndarray:
    r"""Each class's share of the atlases' votes, voxel by voxel.

    - ``majority``: a vote each (Heckemann et al. 2006; Klein et al. 2008 for the prostate): plain multi-atlas fusion.
    - ``weighted``: a vote weighs :math:`(\overline{(I - A)^2})^{-power}`, the mean being over a cube around the voxel
      (Artaechevarria et al. 2009).
    - ``staple``: SimpleITK's STAPLE (Warfield et al. 2004), class by class, the probabilities scaled to sum to 1. It
      holds all labels in memory; the others hold one atlas at a time.

    Args:
        atlases: image ``(K, ...)`` and label ``(...)`` of each, on the grid of ``image``.
        image: I, ``(K, ...)``, in the same intensity units.
        num_classes: C, with the background.
        fusion: one of the above.
        radius: of the cube of ``weighted``, in voxels.
        power: of ``weighted``; 0 is ``majority``.

    Returns:
        Shares ``(C, ...)``, float32, that sum to 1.

    Raises:
        ValueError: for an unknown fusion, a negative radius or power, or no atlas.

    Example:
        >>> one, two = np.array([[[0]]]), np.array([[[1]]])
        >>> fuse_labels([(one, one[0]), (two, two[0]), (two, two[0])], one, 2)[:, 0, 0].round(2).tolist()
        [0.33000001311302185, 0.6700000166893005]
    """
    if fusion not in FUSIONS:
        raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, got {fusion!r}")
    if radius < 0 or power < 0:
        raise ValueError(f"radius and power must not be negative, got {radius} and {power}")
    if fusion == "staple":
        votes = _staple([label for _, label in atlases], num_classes)
    else:
        votes = np.zeros((num_classes, *image.shape[1:]), np.float64)
        for other, label in atlases:
            weight: np.ndarray | float = 1.0
            if fusion == "weighted":
                square = ((image.astype(np.float64) - other) ** 2).mean(0)
                weight = (np.maximum(uniform_filter(square, 2 * radius + 1), 0) + LEAST) ** -power
            for index in range(num_classes):
                votes[index] += weight * (label == index)
    total = votes.sum(0)
    if not total.any():
        raise ValueError("there must be at least one registered atlas, got none")
    votes[0] += total == 0  # STAPLE may give a voxel to nobody
    return (votes / votes.sum(0)).astype(np.float32)


def _staple(labels: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    if not labels:
        return np.zeros((num_classes, 1))
    sitk = simple_itk()
    votes = np.zeros((num_classes, *labels[0].shape))
    for index in range(num_classes):
        masks = [label == index for label in labels]
        if all(np.array_equal(mask, masks[0]) for mask in masks):  # nothing to estimate
            votes[index] = masks[0]
            continue
        images = [to_itk(mask.astype(np.uint8), [1.0] * mask.ndim) for mask in masks]
        votes[index] = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0)).T
    return votes
