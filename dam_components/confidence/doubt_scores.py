"""D and its rivals: what each makes of one case to say where S may be wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from monai.inferers import Inferer
from torch import nn

from dam_components.metrics import entropy_doubt, predicted_class_doubt, softmax_doubt, temperature_doubt
from dam_components.predicted_class import predict_class

__all__ = ["SCORES", "Confidence", "Doubt", "Segmentation", "Segmenter", "dropout_on_features", "make_scores"]

SCORES: dict[str, str] = {
    "D": "1 - M, the confidence map",
    "softmax": "1 - largest probability",
    "entropy": "entropy over its largest value",
    "temperature": "1 - largest probability at a temperature fitted on the validation cases",
    "untrained": "1 - M of a D with its weights as they are drawn",
    "mc_dropout": "mean softmax of 8 passes with dropout on the decoder's feature maps",
    "ensemble": "mean softmax of S and networks trained apart",
    "flips": "mean softmax over flips of the image",
}
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish)


class Segmenter:
    """S as the bundle runs it: image ``(1, C, ...)`` to float32 logits, with its inferer and precision.

    Args:
        network: S, with its weights.
        inferer: how it runs over a volume.
        amp: mixed precision.
    """

    def __init__(self, network: nn.Module, inferer: Inferer, amp: bool = False) -> None:
        self.network = network.eval()
        self.inferer = inferer
        self.amp = amp

    @torch.no_grad()
    def __call__(self, image: torch.Tensor, network: nn.Module | None = None) -> torch.Tensor:
        """Logits of S, or of another network run in the same way."""
        with torch.autocast(image.device.type, enabled=self.amp):
            return self.inferer(image, self.network if network is None else network.eval()).float()


@dataclass(frozen=True)
class Segmentation:
    """What S said of one image.

    Attributes:
        image: as S saw it, ``(1, C, ...)``.
        logits: of S, ``(1, classes, ...)``.
        probabilities: their softmax.
        predicted: the class that S predicts, ``(1, 1, ...)``.
    """

    image: torch.Tensor
    logits: torch.Tensor
    probabilities: torch.Tensor
    predicted: torch.Tensor

    @classmethod
    def of(cls, image: torch.Tensor, segmenter: Segmenter) -> Segmentation:
        logits = segmenter(image)
        probabilities = logits.softmax(1)
        return cls(image, logits, probabilities, predict_class(probabilities))


Confidence = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""P̂ and X to M, ``ConfidenceMapd.confidence`` for instance."""

Doubt = Callable[[Segmentation], torch.Tensor]
"""A score: doubt in [0, 1] of each voxel that S predicted, ``(1, 1, ...)``, high where an error is feared."""


def make_scores(
    names: Sequence[str],
    segmenter: Segmenter,
    confidence: Confidence,
    temperature: float = 1.0,
    others: Sequence[nn.Module] = (),
    flip_axes: Sequence[int] = (0,),
    dropout: float = 0.2,
    passes: int = 8,
    seed: int = 0,
    untrained: Confidence | None = None,
) -> dict[str, Doubt]:
    """The scores by name.

    Where a mean softmax is taken (``mc_dropout``, ``ensemble``, ``flips``), the doubt is one minus its probability of
    the class that plain S predicts: it is plain S's errors that are looked for.

    Args:
        names: of :data:`SCORES`.
        segmenter: S.
        confidence: of D.
        temperature: of :func:`~dam_components.metrics.fit_temperature`.
        others: the ensemble's members beside S.
        flip_axes: spatial axes; the mean is over all combinations of them, the plain image included.
        dropout: share of feature maps that a pass leaves out.
        passes: with dropout.
        seed: of the dropout, the same for each case.
        untrained: of a D that has learnt nothing; what D's training adds is judged by it.

    Raises:
        ValueError: an unknown name, no member for ``ensemble``, or no D for ``untrained``.
    """
    if unknown := [name for name in names if name not in SCORES]:
        raise ValueError(f"rivals must be of {', '.join(n for n in SCORES if n != 'D')}, or all, got {unknown[0]!r}")
    if "ensemble" in names and not others:
        raise ValueError("the rival ensemble needs other networks' weights: give --ensemble a.pt,b.pt, or leave it out")

    def mean_doubt(case: Segmentation, softmaxes: Iterator[torch.Tensor]) -> torch.Tensor:
        total, count = torch.zeros_like(case.probabilities), 0
        for probabilities in softmaxes:
            total, count = total + probabilities, count + 1
        return predicted_class_doubt(total / count, case.predicted)

    def mc_dropout(case: Segmentation) -> torch.Tensor:
        with torch.random.fork_rng(), dropout_on_features(segmenter.network, dropout):
            torch.manual_seed(seed)
            return mean_doubt(case, (segmenter(case.image).softmax(1) for _ in range(passes)))

    def ensemble(case: Segmentation) -> torch.Tensor:
        rest = (segmenter(case.image, network).softmax(1) for network in others)
        return mean_doubt(case, itertools.chain([case.probabilities], rest))

    def flips(case: Segmentation) -> torch.Tensor:
        def flipped() -> Iterator[torch.Tensor]:
            yield case.probabilities
            for count in range(1, len(flip_axes) + 1):
                for axes in itertools.combinations(flip_axes, count):
                    dims = [2 + axis for axis in axes]
                    yield segmenter(case.image.flip(dims)).softmax(1).flip(dims)

        return mean_doubt(case, flipped())

    scores: dict[str, Doubt] = {
        "D": lambda case: 1 - confidence(case.probabilities, case.image),
        "softmax": lambda case: softmax_doubt(case.probabilities),
        "entropy": lambda case: entropy_doubt(case.probabilities),
        "temperature": lambda case: temperature_doubt(case.logits, temperature),
        "mc_dropout": mc_dropout,
        "ensemble": ensemble,
        "flips": flips,
    }
    if untrained is not None:
        scores["untrained"] = lambda case: 1 - untrained(case.probabilities, case.image)
    elif "untrained" in names:
        raise ValueError("the score untrained needs a D that has learnt nothing, got None")
    return {name: scores[name] for name in names}


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
