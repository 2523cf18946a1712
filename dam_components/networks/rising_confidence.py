"""D with a calibration of its map as the last layer."""

from __future__ import annotations

from pathlib import Path

import torch
from numpy.typing import ArrayLike
from torch import nn

from dam_components.atomic_files import whole_stream
from dam_components.networks.weights import read_weights

__all__ = ["RisingConfidence", "put_curve"]


class RisingConfidence(nn.Module):
    """A confidence network, then a rising curve of its logit: what D says becomes how often that is right.

    The curve is not learned with D but fitted afterwards, on cases that D did not learn from
    (:func:`~dam_components.metrics.fit_rising_curve`), and lies in the ``state_dict`` with D's weights. A new network
    has the identity. The curve rises, so the map orders voxels as before.

    Shapes: those of ``network``, one logit a voxel ``(B, 1, ...)``.

    Args:
        network: D.
        knots: of the curve, at least 2.

    Raises:
        ValueError: there are too few knots.

    Example:
        >>> from dam_components.networks import LocalCalibrationNet
        >>> D = RisingConfidence(LocalCalibrationNet(3, in_channels=4, num_classes=3, channels=(4, 8), strides=(2, 2)))
        >>> tuple(D(torch.cat([torch.rand(1, 3, 9, 8, 8).softmax(1), torch.rand(1, 1, 9, 8, 8)], 1)).shape)
        (1, 1, 9, 8, 8)
    """

    curve: torch.Tensor

    def __init__(self, network: nn.Module, knots: int = 64) -> None:
        super().__init__()
        if knots < 2:
            raise ValueError(f"knots must be at least 2, got {knots}")
        self.network = network
        self.register_buffer("curve", torch.linspace(-16, 16, knots).repeat(2, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``torch.cat([P̂, X], 1)`` to one logit a voxel."""
        return self.raise_logits(self.network(x))

    def raise_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """The curve of these logits: straight lines between the knots."""
        knots, values = self.curve.float()
        where = logits.float()
        inside = where.clamp(float(knots[0]), float(knots[-1]))
        place = torch.bucketize(inside, knots[1:-1])  # of the knot before
        slopes = values.diff() / knots.diff()
        return (where - inside + values[place] + slopes[place] * (inside - knots[place])).to(logits.dtype)


def put_curve(path: str | Path, curve: ArrayLike) -> None:
    """Puts a curve into a file with the weights of a :class:`RisingConfidence`; who the network is stays in the file.

    Args:
        path: the file; it is replaced in one step.
        curve: of :func:`~dam_components.metrics.fit_rising_curve`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not of such a network, or one of another number of knots.
    """
    state, new = read_weights(path), torch.as_tensor(curve, dtype=torch.float32)
    if "curve" not in state or state["curve"].shape != new.shape:
        there = tuple(state["curve"].shape) if "curve" in state else "none"
        raise ValueError(f"{path} must hold a curve of shape {tuple(new.shape)}, it has {there}")
    state["curve"] = new
    with whole_stream(path) as stream:
        torch.save(state, stream)
