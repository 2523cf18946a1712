"""S averaged over flips of its input and over the networks of several folds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dam_components.networks.weights import load_weights

__all__ = ["FlipAverage", "MeanEnsemble", "load_averaged", "log_mean_softmax"]


def log_mean_softmax(logits: Iterable[torch.Tensor]) -> torch.Tensor:
    """Logarithm of the mean of the softmax of each; its softmax is that mean, so it passes for logits. In float32.

    Shapes: each ``(B, C, ...)``, to the same.

    Example:
        >>> sure, undecided = torch.tensor([[0.9, 0.1]]).log(), torch.zeros(1, 2)
        >>> log_mean_softmax([sure, undecided]).softmax(1)  # (0.9 + 0.5) / 2
        tensor([[0.7000, 0.3000]])
    """
    logs = [each.to(torch.promote_types(each.dtype, torch.float32)).log_softmax(1) for each in logits]
    return reduce(torch.logaddexp, logs) - math.log(len(logs))


class FlipAverage(nn.Module):
    """S's probabilities averaged over all flips along some axes: two passes for one axis, eight for three.

    Gives the logarithm of the mean in place of logits, so everything behind S (softmax, D, report) sees the averaged P̂.
    Of use along axes along which training flipped too.

    Shapes: those of the network, ``(B, C, ...)``.

    Args:
        network: S, in evaluation mode.
        axes: spatial axes, 0 the first after the channels.

    Raises:
        ValueError: on an axis that the image does not have.

    Example:
        >>> S = FlipAverage(nn.Conv2d(1, 2, 3, padding=1), axes=[0, 1])
        >>> x = torch.rand(1, 1, 4, 4)
        >>> bool(torch.allclose(S(x.flip(2)), S(x).flip(2), atol=1e-6))
        True
    """

    def __init__(self, network: nn.Module, axes: Sequence[int] = (0,)) -> None:
        super().__init__()
        axes = sorted(set(axes))
        if axes and (axes[0] < 0 or axes[-1] > 2):
            raise ValueError(f"axes to flip must lie in 0..2, 0 the first after the channels, got {axes}")
        self.network = network
        self.flips = [chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log of the mean softmax over all flips, ``(B, C, ...)``."""
        last = max(self.flips[-1], default=0)
        if last > x.ndim - 3:
            raise ValueError(f"axes to flip must lie in 0..{x.ndim - 3} for an image of {x.ndim - 2} axes, got {last}")
        flips = [[axis + 2 for axis in chosen] for chosen in self.flips]
        return log_mean_softmax(self.network(x.flip(dims)).flip(dims) for dims in flips)


class MeanEnsemble(nn.Module):
    """The probabilities of several networks, averaged; gives the logarithm of the mean in place of logits.

    Shapes: those of the networks, ``(B, C, ...)``.

    Args:
        networks: S of each fold, in evaluation mode.

    Raises:
        ValueError: without a network.

    Example:
        >>> S = MeanEnsemble([nn.Conv2d(1, 3, 1), nn.Conv2d(1, 3, 1)])
        >>> tuple(S(torch.rand(1, 1, 4, 4)).shape)
        (1, 3, 4, 4)
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if not networks:
            raise ValueError("an ensemble needs at least one network, got none")
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log of the mean softmax over the networks, ``(B, C, ...)``."""
        return log_mean_softmax(network(x) for network in self.networks)


def load_averaged(
    network: nn.Module,
    weights: str | Path | Sequence[str | Path],
    flip_axes: Sequence[int] = (),
    label_names: Mapping[Any, str] | None = None,
) -> nn.Module:
    """S with its weights; with several files of weights their :class:`MeanEnsemble`; with axes its
    :class:`FlipAverage`. With one file and no axes, the network itself.

    Args:
        network: S, as the configuration defines it.
        weights: a file, or several of the same architecture.
        flip_axes: axes along which to flip.
        label_names: name of each class that is expected, as in :func:`load_weights`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: on a file of another architecture or other classes, the same file twice, no file at
            all, or a wrong axis.
    """
    files = [weights] if isinstance(weights, (str, Path)) else list(weights)
    if not files or len(set(map(str, files))) < len(files):
        raise ValueError(f"weights must name one file, or several different ones to average, got {files}")
    networks = [load_weights(deepcopy(network), file, label_names) for file in files[1:]]
    first = load_weights(network, files[0], label_names)
    averaged = MeanEnsemble([first, *networks]) if networks else first
    return FlipAverage(averaged, flip_axes) if flip_axes else averaged
