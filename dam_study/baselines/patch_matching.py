"""Patch matching: the label of a voxel from atlas patches that look like its own."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from torch.nn.functional import normalize, one_hot

__all__ = ["MATCHINGS", "check_matching", "match_patches"]

MATCHINGS = ("lasso", "nearest")


def check_matching(matching: str, neighbours: int, penalty: float) -> None:
    """Raises:
    ValueError: for an unknown matching, no neighbours or a penalty that is not positive.
    """
    if matching not in MATCHINGS:
        raise ValueError(f"matching must be one of {', '.join(MATCHINGS)}, got {matching!r}")
    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1, got {neighbours}")
    if not penalty > 0:
        raise ValueError(f"penalty must be positive, got {penalty}")


def match_patches(
    features: torch.Tensor,
    candidates: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    matching: str = "lasso",
    neighbours: int = 16,
    penalty: float = 0.05,
) -> torch.Tensor:
    r"""Likelihood of each class at each voxel.

    Features are scaled to norm 1; the nearest candidates stay. ``lasso``: weights w of a sparse representation,
    :math:`\min_{w \ge 0} \frac12 \|f - D w\|^2 + penalty \|w\|_1` with scikit-learn's coordinate descent, D holding
    the candidates as columns; where all weights are 0 the nearest candidate counts alone. ``nearest``:
    :math:`w = \exp(-d^2 / d_{min}^2)`, as in patch-based segmentation (Coupé et al. 2011). The likelihood is the
    weights' share that the class's candidates have.

    Args:
        features: ``(N, F)``.
        candidates: ``(N, K, F)``, of the atlases.
        labels: ``(N, K)``, of their middle voxels.
        num_classes: C, with the background.
        matching: ``lasso`` or ``nearest``.
        neighbours: how many candidates stay.
        penalty: of ``lasso``.

    Returns:
        ``(N, C)``, on the device of the features.

    Raises:
        ValueError: for an option out of range.

    Example:
        >>> candidates = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> match_patches(torch.tensor([[0.9, 0.1]]), candidates, torch.tensor([[0, 1]]), 2, penalty=0.2)
        tensor([[1., 0.]])
    """
    check_matching(matching, neighbours, penalty)
    f, D = normalize(features, dim=-1), normalize(candidates, dim=-1)
    cosine = (D @ f[..., None])[..., 0]
    cosine, chosen = cosine.topk(min(neighbours, cosine.shape[1]), dim=1)
    if matching == "nearest":
        square = (2 - 2 * cosine).clamp_min(0)
        weights = (-square / square[:, :1].clamp_min(1e-12)).exp()
    else:
        near = D.gather(1, chosen[..., None].expand(-1, -1, D.shape[-1]))
        weights = torch.from_numpy(_lasso(f.cpu().double().numpy(), near.cpu().double().numpy(), penalty)).to(f)
        weights[:, 0] += weights.sum(1) == 0
    votes = (one_hot(labels.gather(1, chosen).long(), num_classes) * weights[..., None]).sum(1)
    return votes / votes.sum(1, keepdim=True)


def _lasso(f: np.ndarray, near: np.ndarray, penalty: float) -> np.ndarray:
    """Weights ``(N, k)``; every voxel has a dictionary of its own, so one problem after the other."""
    weights = np.empty(near.shape[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near duplicates: any split of their weight will do
        for n in range(len(f)):
            # scikit-learn divides the square by the number of features
            _, path, _ = lasso_path(near[n].T, f[n], alphas=[penalty / f.shape[1]], positive=True, max_iter=200)
            weights[n] = path[:, 0]
    return weights
