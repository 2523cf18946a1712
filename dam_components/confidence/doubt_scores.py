"""D and what S says by itself: what each makes of one case to say where S may be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from monai.inferers import Inferer
from torch import nn

from dam_components.metrics import entropy_doubt, softmax_doubt, temperature_doubt
from dam_components.precision import choose_amp
from dam_components.predicted_class import predict_class

__all__ = ["SCORES", "Confidence", "Doubt", "Rising", "Segmentation", "Segmenter", "make_scores"]

SCORES: dict[str, str] = {
    "D": "1 - M, the confidence map",
    "softmax": "1 - largest probability",
    "entropy": "entropy over its largest value",
    "temperature": "1 - largest probability at a temperature fitted on cases that S did not learn from",
    "isotonic": "1 - largest probability behind a rising curve, fitted as D's is",
    "untrained": "1 - M of a D with its weights as they are drawn",
}


class Segmenter:
    """S as the bundle runs it: image ``(1, C, ...)`` to float32 logits, with its inferer and precision.

    Args:
        network: S, with its weights.
        inferer: how it runs over a volume.
        amp: mixed precision; ``"auto"`` where it is fast.
    """

    def __init__(self, network: nn.Module, inferer: Inferer, amp: bool | str = False) -> None:
        self.network = network.eval()
        self.inferer = inferer
        self.amp = amp

    @torch.no_grad()
    def __call__(self, image: torch.Tensor, network: nn.Module | None = None) -> torch.Tensor:
        """Logits of S, or of another network run in the same way."""
        with torch.autocast(image.device.type, enabled=choose_amp(self.amp, image.device)):
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
    def of(cls, image: torch.Tensor, segmenter: Callable[[torch.Tensor], torch.Tensor]) -> Segmentation:
        """Runs S on an image."""
        logits = segmenter(image)
        probabilities = logits.softmax(1)
        return cls(image, logits, probabilities, predict_class(probabilities))


Confidence = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""P̂ and X to M, ``ConfidenceMapd.confidence`` for instance."""

Rising = Callable[[torch.Tensor], torch.Tensor]
"""A confidence to a calibrated one, voxel by voxel."""

Doubt = Callable[[Segmentation], torch.Tensor]
"""A score: doubt in [0, 1] of each voxel that S predicted, ``(1, 1, ...)``, high where an error is feared."""


def make_scores(
    names: Sequence[str],
    confidence: Confidence,
    temperature: float = 1.0,
    untrained: Confidence | None = None,
    rising: Rising | None = None,
) -> dict[str, Doubt]:
    """The scores by name.

    Args:
        names: of :data:`SCORES`.
        confidence: of D.
        temperature: of :func:`~dam_components.metrics.fit_temperature`.
        untrained: of a D that has learnt nothing; what D's training adds is judged by it.
        rising: of the softmax, for ``isotonic``.

    Raises:
        ValueError: an unknown name, no D for ``untrained``, or no curve for ``isotonic``.
    """
    if unknown := [name for name in names if name not in SCORES]:
        raise ValueError(f"scores must be of {', '.join(SCORES)}, got {unknown[0]!r}")
    scores: dict[str, Doubt] = {
        "D": lambda case: 1 - confidence(case.probabilities, case.image),
        "softmax": lambda case: softmax_doubt(case.probabilities),
        "entropy": lambda case: entropy_doubt(case.probabilities),
        "temperature": lambda case: temperature_doubt(case.logits, temperature),
    }
    if untrained is not None:
        scores["untrained"] = lambda case: 1 - untrained(case.probabilities, case.image)
    elif "untrained" in names:
        raise ValueError("the score untrained needs a D that has learnt nothing, got None")
    if rising is not None:
        scores["isotonic"] = lambda case: 1 - rising(1 - softmax_doubt(case.probabilities))
    elif "isotonic" in names:
        raise ValueError("the score isotonic needs a rising curve, got None")
    return {name: scores[name] for name in names}
