"""The steps between S's logits and the segmentation, slab by slab, so that a large volume takes little more memory than
its probabilities."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Invertd, MapTransform

from dam_components.plain_tensor import plain
from dam_components.predicted_class import predict_class

__all__ = ["InvertByChanneld", "PredictedClassd", "SoftmaxInPlaced", "class_map", "slabs"]

SLAB = 2**20  # numbers at a time


def slabs(values: torch.Tensor) -> Iterator[slice]:
    """Cuts along the first spatial axis of ``(C, ...)``, of some million numbers each.

    Example:
        >>> list(slabs(torch.empty(3, 5, 4)))
        [slice(0, 5, None)]
    """
    length = values.shape[1]
    step = max(1, SLAB * length // max(1, values.numel()))
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def class_map(probabilities: torch.Tensor) -> torch.Tensor:
    """:func:`~dam_components.predicted_class.predict_class` of ``(C, ...)``: ``(1, ...)`` as uint8, or int16
    where there are more than 256 classes.

    Example:
        >>> class_map(torch.tensor([[0.7, 0.5], [0.3, 0.5]]))
        tensor([[0, 0]], dtype=torch.uint8)
    """
    dtype = torch.uint8 if len(probabilities) <= 256 else torch.int16
    result = torch.empty((1, *probabilities.shape[1:]), dtype=dtype, device=probabilities.device)
    for slab in slabs(probabilities):
        result[:, slab] = predict_class(probabilities[None, :, slab])[0].to(dtype)
    return result


class SoftmaxInPlaced(MapTransform):
    """Softmax over the classes, as ``Activationsd(softmax=True)``, written over the logits.

    Shapes: ``(C, ...)``, float32; logits of lower precision are copied.

    Example:
        >>> data = {"pred": torch.zeros(2, 1)}
        >>> SoftmaxInPlaced("pred")(data)["pred"] is data["pred"], data["pred"].tolist()
        (True, [[0.5], [0.5]])
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            logits = result[key]
            if logits.is_inference() or logits.dtype not in (torch.float32, torch.float64):
                logits = result[key] = logits.float().clone()
            values = plain(logits)
            for slab in slabs(values):
                values[:, slab] = values[:, slab].softmax(0)
        return result


class InvertByChanneld(MapTransform):
    """MONAI's ``Invertd`` with interpolation, one channel after the other.

    What it is given is written over where the image's own grid has the same shape, and is otherwise let go: the engine
    holds it, and would keep it until the case is done.

    Args:
        keys: what to invert, ``(C, ...)``.
        transform: as in ``Invertd``.
        orig_keys: the image, whose history is undone.
        allow_missing_keys: pass data without a key on.

    Raises:
        ValueError: as ``Invertd``.
    """

    def __init__(
        self, keys: KeysCollection, transform: Any, orig_keys: str = "image", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.orig_keys = orig_keys
        self.inverters = {
            key: Invertd(key, transform, orig_keys=orig_keys, nearest_interp=False, to_tensor=True) for key in self.keys
        }

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.invert(self.inverters[key], key, result[key], result[self.orig_keys])
        return result

    def invert(self, inverter: Invertd, key: Hashable, given: torch.Tensor, image: Any) -> torch.Tensor:
        """One entry; ``given`` is used up."""
        source = plain(given).detach()
        target: torch.Tensor | None = None
        for index in range(len(source)):
            one = MetaTensor(source[index : index + 1])
            inverted = inverter({key: one, self.orig_keys: image})[key]
            values = plain(inverted)
            if target is None:
                same = values.shape[1:] == source.shape[1:] and not source.is_inference()
                target = source if same else values.new_empty((len(source), *values.shape[1:]), dtype=source.dtype)
                meta, history = inverted.meta, inverted.applied_operations
            if values.untyped_storage().data_ptr() == source.untyped_storage().data_ptr():
                values = values.clone()  # perhaps in another order of the axes
            target[index : index + 1] = values
        let_go(given)
        return MetaTensor(target, meta=meta, applied_operations=history)


class PredictedClassd(MapTransform):
    """The class of each voxel, :func:`class_map`, in place of the probabilities, with their metadata.

    Example:
        >>> PredictedClassd("pred")({"pred": torch.tensor([[0.2], [0.8]])})["pred"]
        tensor([[1]], dtype=torch.uint8)
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            given = result[key]
            called: torch.Tensor = class_map(plain(given))
            if isinstance(given, MetaTensor):
                called = MetaTensor(called, meta=given.meta, applied_operations=given.applied_operations)
            result[key] = called
        return result


def let_go(values: torch.Tensor) -> None:
    """Empties a tensor, and what it is a part of (the engine's batch), so that whoever holds them holds no memory."""
    for held in (values._base, values):
        if held is not None:
            held.data = torch.empty(0, dtype=values.dtype, device=values.device)
