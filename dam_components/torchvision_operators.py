"""Imports torchvision, also one that was built for CUDA beside PyTorch for the CPU, whose operators cannot be loaded.

MONAI Label and nnU-Net use torchvision's pictures and none of its operators. torchvision itself describes two of them
to PyTorch, which fails where they are missing. They are named here then, without an implementation. Without torchvision
nothing happens.
"""

import contextlib

import torch

__all__: list[str] = []

NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

with contextlib.suppress(ModuleNotFoundError):
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:  # operator torchvision::nms does not exist
        if "torchvision::" not in str(error):
            raise
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", NMS)
        import torchvision  # noqa: F401
