"""A sliding window that shows how far it is in a large case."""

from __future__ import annotations

import math
from typing import Any

from monai.inferers import SlidingWindowInferer
from monai.utils import ensure_tuple_rep

__all__ = ["LargeCaseInferer"]


class LargeCaseInferer(SlidingWindowInferer):
    """MONAI's ``SlidingWindowInferer``, with its bar over the windows of a case that has many.

    Args:
        bar_from: batches of windows from which there is a bar.

    All other arguments are those of ``SlidingWindowInferer``.

    Example:
        >>> import torch
        >>> inferer = LargeCaseInferer((4, 4), bar_from=10)
        >>> tuple(inferer(torch.zeros(1, 1, 8, 8), torch.nn.Conv2d(1, 2, 1)).shape), inferer.progress
        ((1, 2, 8, 8), False)
    """

    def __init__(self, *args: Any, bar_from: int = 50, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bar_from = bar_from

    def __call__(self, inputs: Any, network: Any, *args: Any, **kwargs: Any) -> Any:
        """As MONAI's."""
        size = inputs.shape[2:]
        roi = [
            length if not asked or asked < 0 else asked
            for length, asked in zip(size, ensure_tuple_rep(self.roi_size, len(size)), strict=True)
        ]
        overlap = ensure_tuple_rep(self.overlap, len(size))
        windows = math.prod(
            math.ceil(max(length - window, 0) / max(1, int(window * (1 - part)))) + 1
            for length, window, part in zip(size, roi, overlap, strict=True)
        )
        self.progress = windows / self.sw_batch_size >= self.bar_from
        return super().__call__(inputs, network, *args, **kwargs)
