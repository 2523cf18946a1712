"""Cross-fitting: several networks S, each judged on the cases that it did not learn from."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dam_components.networks.weights import load_weights

__all__ = ["CrossFitted", "load_cross_fitted"]


class CrossFitted(nn.Module):
    """Networks that each learned without one part of the cases; an image goes through the one that left out its part.

    A confidence network D that is trained on S's own training cases sees few of the errors that S will make on other
    cases. Behind this network it sees what S does on cases that it did not learn from, for every training case.

    Shapes: images ``(B, channels, ...)`` and their parts ``(B,)`` to logits ``(B, C, ...)``.

    Args:
        networks: one for each part, in the order of the parts; all in evaluation mode give one tensor.

    Raises:
        ValueError: without networks; in ``forward``, if a part has no network or the number of parts is not B.

    Example:
        >>> S = CrossFitted([nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)])
        >>> tuple(S(torch.rand(3, 1, 8, 8), torch.tensor([0, 1, 0])).shape)
        (3, 2, 8, 8)
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        if not len(self.networks):
            raise ValueError("networks must hold one network for each part, got none")

    def forward(self, x: torch.Tensor, part: torch.Tensor | Sequence[int]) -> torch.Tensor:
        """Logits of each case by the network that did not learn from it."""
        parts = [int(number) for number in part]
        if len(parts) != len(x):
            raise ValueError(f"{len(x)} images need as many parts, got {len(parts)}")
        if missing := sorted({number for number in parts if number not in range(len(self.networks))}):
            raise ValueError(f"parts must be below {len(self.networks)}, the number of networks, got {missing}")
        outputs: list[torch.Tensor | None] = [None] * len(x)
        for number in sorted(set(parts)):  # each network runs once
            where = [i for i, other in enumerate(parts) if other == number]
            for i, logits in zip(where, self.networks[number](x[where]), strict=True):
                outputs[i] = logits
        return torch.stack([logits for logits in outputs if logits is not None])


def load_cross_fitted(
    network: nn.Module, files: Sequence[str | Path], label_names: Mapping[Any, str] | None = None
) -> CrossFitted:
    """The networks of ``CrossFitted`` from their weights.

    Args:
        network: S, whose architecture they all have; it stays as it is.
        files: a ``state_dict`` for each part, in the order of the parts.
        label_names: name of each class that is expected, as in :func:`load_weights`.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: without files, or as :func:`load_weights` does.
    """
    return CrossFitted(load_weights(copy.deepcopy(network), file, label_names) for file in files)
