"""A stacked sparse auto-encoder (SSAE) of patches, and its training layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from tqdm import tqdm

__all__ = ["StackedSparseAutoencoder", "sparsity_penalty"]


def sparsity_penalty(activations: torch.Tensor, target: float) -> torch.Tensor:
    r"""How far units are from being active as rarely as wanted.

    The mean over units j of :math:`KL(\rho \| \hat\rho_j) = \rho \log\frac{\rho}{\hat\rho_j} +
    (1-\rho) \log\frac{1-\rho}{1-\hat\rho_j}`, :math:`\hat\rho_j` being the unit's mean over the batch.

    Args:
        activations: ``(N, units)``, in (0, 1).
        target: ρ.

    Example:
        >>> sparsity_penalty(torch.full((4, 2), 0.1), 0.1).item()
        0.0
    """
    mean = activations.mean(0).clamp(1e-6, 1 - 1e-6)
    one, other = (torch.full_like(mean, rho) for rho in (target, 1 - target))
    return (one * (one / mean).log() + other * (other / (1 - mean)).log()).mean()


class StackedSparseAutoencoder(nn.Module):
    """Sigmoid layers that were each trained to give back what goes into them, with few units active at a time.

    Guo, Gao and Shen, IEEE TMI 2016. :meth:`pretrain` fits layer after layer (mean squared error through a linear
    decoder plus ``sparsity_weight`` times :func:`sparsity_penalty`; means, not sums, so that the weight does not depend
    on sizes), :meth:`refine` all of them by the class of the middle voxel, with a softmax on top.

    Shapes: patches ``(N, inputs)`` to features ``(N, hidden[-1])``.

    Args:
        inputs: values of a patch.
        hidden: units of each layer.
        num_classes: C, with the background.
        sparsity: ρ, how active a unit is on average.
        sparsity_weight: 0 is a plain auto-encoder.
        seed: of weights and batches.

    Raises:
        ValueError: for an option out of range.

    Example:
        >>> encoder = StackedSparseAutoencoder(27, (16, 8), num_classes=2)
        >>> tuple(encoder(torch.rand(5, 27)).shape)
        (5, 8)
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        num_classes: int,
        sparsity: float = 0.1,
        sparsity_weight: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must name the units of each layer, got {list(hidden)}")
        if not 0 < sparsity < 1:
            raise ValueError(f"sparsity must lie between 0 and 1, got {sparsity}")
        if sparsity_weight < 0:
            raise ValueError(f"sparsity_weight must not be negative, got {sparsity_weight}")
        self.sparsity, self.sparsity_weight = sparsity, sparsity_weight
        self.generator = torch.Generator().manual_seed(seed)
        sizes = [inputs, *hidden]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            pairs = list(zip(sizes, sizes[1:], strict=False))
            self.encoders = nn.ModuleList(nn.Sequential(nn.Linear(a, b), nn.Sigmoid()) for a, b in pairs)
            self.decoders = nn.ModuleList(nn.Linear(b, a) for a, b in pairs)
            self.classifier = nn.Linear(sizes[-1], num_classes)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Patches to features."""
        for encoder in self.encoders:
            patches = encoder(patches)
        return patches

    def pretrain(self, patches: torch.Tensor, epochs: int, batch_size: int = 256, learning_rate: float = 1e-3) -> None:
        """Fits each layer to what the layers before it give."""
        values = patches
        for number, (encoder, decoder) in enumerate(zip(self.encoders, self.decoders, strict=True), 1):

            def loss(rows: torch.Tensor, encoder=encoder, decoder=decoder, values=values) -> torch.Tensor:
                batch = values[rows]
                units = encoder(batch)
                penalty = sparsity_penalty(units, self.sparsity) if self.sparsity_weight else 0.0
                return mse_loss(decoder(units), batch) + self.sparsity_weight * penalty

            parameters = [*encoder.parameters(), *decoder.parameters()]
            self._fit(loss, parameters, len(values), epochs, batch_size, learning_rate, f"auto-encoder {number}")
            with torch.no_grad():
                values = torch.cat([encoder(part) for part in values.split(4096)])

    def refine(
        self,
        patches: torch.Tensor,
        classes: torch.Tensor,
        epochs: int,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
    ) -> None:
        """Fits all layers to tell the classes ``(N,)`` apart."""

        def loss(rows: torch.Tensor) -> torch.Tensor:
            return cross_entropy(self.classifier(self(patches[rows])), classes[rows])

        parameters = [*self.encoders.parameters(), *self.classifier.parameters()]
        self._fit(loss, parameters, len(patches), epochs, batch_size, learning_rate, "refine features")

    @torch.enable_grad()
    def _fit(
        self,
        loss: Callable[[torch.Tensor], torch.Tensor],
        parameters: Sequence[nn.Parameter],
        count: int,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        told: str,
    ) -> None:
        optimizer = torch.optim.Adam(parameters, lr=learning_rate)
        for _ in tqdm(range(epochs), desc=told, leave=False):
            for rows in torch.randperm(count, generator=self.generator).split(batch_size):
                optimizer.zero_grad()
                loss(rows).backward()
                optimizer.step()
