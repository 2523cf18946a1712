"""Mixed precision in inference and validation, on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer

from dam_components.precision import choose_amp

__all__ = ["AutocastInferer"]


class AutocastInferer(Inferer):
    """Runs another inferer's network in the precision that :class:`~dam_components.engines.ConfidenceTrainer` uses.

    MONAI's evaluators know mixed precision on CUDA alone, and MONAI Label runs the inferer without an evaluator. The
    network's output is float32 again, so windows are added up in float32.

    Args:
        inferer: how the network runs over a volume.
        amp: mixed precision: ``True``, ``False``, or ``"auto"``, see :func:`~dam_components.precision.choose_amp`.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> infer = AutocastInferer(SimpleInferer(), amp="auto")
        >>> infer(torch.ones(1, 1, 4), torch.nn.Conv1d(1, 1, 1)).dtype
        torch.float32
    """

    def __init__(self, inferer: Inferer, amp: bool | str = "auto") -> None:
        super().__init__()
        self.inferer = inferer
        self.amp = amp

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the inferer gives; a window's device decides on its precision."""

        def run(window: torch.Tensor, *more: Any, **named: Any) -> Any:
            with torch.autocast(window.device.type, enabled=choose_amp(self.amp, window.device)):
                output = network(window, *more, **named)
            return output.float() if isinstance(output, torch.Tensor) else output

        return self.inferer(inputs, run, *args, **kwargs)
