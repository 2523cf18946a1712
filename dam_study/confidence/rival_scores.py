"""Rivals of D that run S several times: Monte Carlo dropout, an ensemble, and flips of the image."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from dam_components.confidence.doubt_scores import SCORES, Doubt, Segmentation, Segmenter
from dam_components.metrics import predicted_class_doubt

__all__ = ["ALL_SCORES", "RIVALS", "check_names", "dropout_on_features", "make_rivals"]

RIVALS: dict[str, str] = {
    "mc_dropout": "mean softmax of 8 passes with dropout on the decoder's feature maps",
    "ensemble": "mean softmax of S and networks trained apart",
    "flips": "mean softmax over flips of the image",
}
STORED_ONLY = ("isotonic",)  # of `dam confidence fit`, which has cases to fit it on
ALL_SCORES = {name: told for name, told in SCORES.items() if name not in STORED_ONLY} | RIVALS
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish)


def check_names(names: Sequence[str], members: int) -> None:
    """Refuses scores that do not exist, and an ensemble without members.

    Raises:
        ValueError: naming the option of the command.
    """
    if unknown := [name for name in names if name not in ALL_SCORES]:
        known = ", ".join(name for name in ALL_SCORES if name != "D")
        raise ValueError(f"rivals must be of {known}, or all, got {unknown[0]!r}")
    if "ensemble" in names and not members:
        raise ValueError("the rival ensemble needs other networks' weights: give --ensemble a.pt,b.pt, or leave it out")


def make_rivals(
    segmenter: Segmenter,
    others: Sequence[nn.Module] = (),
    flip_axes: Sequence[int] = (0,),
    dropout: float = 0.2,
    passes: int = 8,
    seed: int = 0,
) -> dict[str, Doubt]:
    """All of :data:`RIVALS` by name.

    The doubt is one minus the probability that the mean softmax gives to the class that plain S predicts: it is plain
    S's errors that are looked for.

    Args:
        segmenter: S.
        others: the ensemble's members beside S.
        flip_axes: spatial axes; the mean is over all combinations of them, the plain image included.
        dropout: share of feature maps that a pass leaves out.
        passes: with dropout.
        seed: of the dropout, the same for each case.
    """

    def mc_dropout(case: Segmentation) -> torch.Tensor:
        with torch.random.fork_rng(), dropout_on_features(segmenter.network, dropout):
            torch.manual_seed(seed)
            return _mean_doubt(case, (segmenter(case.image).softmax(1) for _ in range(passes)))

    def ensemble(case: Segmentation) -> torch.Tensor:
        rest = (segmenter(case.image, network).softmax(1) for network in others)
        return _mean_doubt(case, itertools.chain([case.probabilities], rest))

    def flips(case: Segmentation) -> torch.Tensor:
        chosen = (axes for count in range(len(flip_axes)) for axes in itertools.combinations(flip_axes, count + 1))
        flipped = (_flipped_softmax(segmenter, case.image, axes) for axes in chosen)
        return _mean_doubt(case, itertools.chain([case.probabilities], flipped))

    return {"mc_dropout": mc_dropout, "ensemble": ensemble, "flips": flips}


@contextmanager
def dropout_on_features(network: nn.Module, p: float) -> Iterator[None]:
    """Within it, the network drops whole feature maps at random: Monte Carlo dropout (Gal and Ghahramani 2016).

    The networks here have no dropout of their own, so it is put in at inference alone: on what each stage of
    ``network.decoder`` gives, or, where a network has no such list, after each activation. S was not trained with it;
    that makes this rival weaker than a network made for it. Maps are dropped whole: on the hippocampus that found
    errors better than dropping single voxels of them, and a share of 0.2 best of 0.05 to 0.4.

    Args:
        network: S; put back as it was at the end.
        p: share of feature maps that are dropped.

    Raises:
        ValueError: p is not between 0 and 1, or the network has neither a decoder nor an activation.
    """
    if not 0 < p < 1:
        raise ValueError(f"dropout must be between 0 and 1, got {p}")
    decoder = getattr(network, "decoder", None)
    stages = [*decoder] if isinstance(decoder, nn.ModuleList) else []
    stages = stages or [module for module in network.modules() if isinstance(module, ACTIVATIONS)]
    if not stages:
        raise ValueError(
            f"{type(network).__name__} has neither a decoder nor an activation to put dropout on; "
            "leave mc_dropout out of --rivals"
        )
    hooks = [stage.register_forward_hook(lambda _, __, out: torch.feature_dropout(out, p, True)) for stage in stages]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _mean_doubt(case: Segmentation, softmaxes: Iterable[torch.Tensor]) -> torch.Tensor:
    total, count = torch.zeros_like(case.probabilities), 0
    for probabilities in softmaxes:
        total, count = total + probabilities, count + 1
    return predicted_class_doubt(total / count, case.predicted)


def _flipped_softmax(segmenter: Segmenter, image: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    dims = [2 + axis for axis in axes]
    return segmenter(image.flip(dims)).softmax(1).flip(dims)
