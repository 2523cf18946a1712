"""An evaluator for a folder of cases, which a case that fails does not end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.engines import SupervisedEvaluator

from dam_components.errors import is_disk_full

__all__ = ["CaseEvaluator"]


class CaseEvaluator(SupervisedEvaluator):
    """MONAI's ``SupervisedEvaluator`` that leaves out a case in which the network, a transform behind it, the memory or
    the writing of a file fails, and goes on with the next. Only a full disk ends it.

    Args:
        leave_out: called with the case's image and the error.
        options: all arguments of ``SupervisedEvaluator``.

    Raises:
        OSError: in one line, in ``run``, if the disk is full.
    """

    def __init__(self, leave_out: Callable[[Any, Exception], None], **options: Any) -> None:
        self.leave_out = leave_out
        super().__init__(**options)

    def _iteration(self, engine: Any, batchdata: Any) -> Any:
        try:
            return super()._iteration(engine, batchdata)
        except Exception as error:
            name = image_file(batchdata["image"])
            if is_disk_full(error):
                raise OSError(
                    f"the disk is full: {name} could not be written, the cases before it are done; free space and go "
                    "on with --skip_finished True"
                ) from error
            self.leave_out(name, error)
        if self.state.device.type == "cuda":
            torch.cuda.empty_cache()
        self.state.output, self.state.batch = [], []
        return []


def image_file(image: Any) -> Any:
    """The file of an image; of one in a batch of several, of the first."""
    meta = image[0].meta if isinstance(image, list) else getattr(image, "meta", {})
    name = meta.get("filename_or_obj", "a case")
    return name[0] if isinstance(name, (list, tuple)) else name
