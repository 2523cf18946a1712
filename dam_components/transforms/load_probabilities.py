"""Stored probabilities beside their image, on the grid that the image has been brought to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import nibabel
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Orientation, SpatialResample

from dam_components.data.stored_probabilities import check_order, read_probabilities, swapped_order
from dam_components.transforms.case_loading import file_name

__all__ = ["LoadProbabilitiesd"]


class LoadProbabilitiesd(MapTransform):
    """Reads a model's stored probabilities and brings them to where the image is now.

    Run it behind the image's own preprocessing. The file must lie on the grid that the image had in its file; turns and
    flips of the axes are repeated exactly, another spacing by linear interpolation.

    Shapes: a file name under ``keys`` becomes P̂ ``(C, ...)``, float32, with the image's affine.

    Args:
        keys: where the file's name is, one key.
        num_classes: background included.
        order: the file's axes, see :func:`~dam_components.data.stored_probabilities.read_probabilities`.
        image_key: the image, a ``MetaTensor`` ``(channels, ...)``.
        label_key: a label by which to notice swapped axes that have equal sizes; ``None``: no check.
        output_key: where P̂ goes; ``None``: in place of the file's name.

    Raises:
        ValueError: as ``read_probabilities``, or if the axes agree with the label only when swapped.

    Example:
        >>> import tempfile
        >>> image = MetaTensor(torch.zeros(1, 3, 4, 5), affine=torch.eye(4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/a.npz", probabilities=np.full((2, 5, 4, 3), 0.5, np.float32))
        ...     data = LoadProbabilitiesd("pred", num_classes=2)({"image": image, "pred": f"{folder}/a.npz"})
        >>> tuple(data["pred"].shape)
        (2, 3, 4, 5)
    """

    def __init__(
        self,
        keys: KeysCollection,
        num_classes: int,
        order: str | None = None,
        image_key: str = "image",
        label_key: str | None = None,
        output_key: Hashable | None = None,
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name the probabilities, one key, got {list(self.keys)}")
        self.num_classes = num_classes
        self.order = check_order(order)
        self.image_key = image_key
        self.label_key = label_key
        self.output_key = output_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        image = result[self.image_key]
        for key in self.key_iterator(result):
            file = result[key]
            stored = read_probabilities(file, original_shape(image), self.num_classes, self.order)
            placed = on_grid_of(torch.from_numpy(stored), image)
            if self.label_key is not None:
                self.check_axes(file, placed, result[self.label_key])
            result[key if self.output_key is None else self.output_key] = placed
        return result

    def check_axes(self, file: Any, probabilities: torch.Tensor, label: torch.Tensor) -> None:
        """The label's word on the order of axes."""
        order = swapped_order(np.asarray(probabilities), np.asarray(label[0]))
        if order is not None:
            axes = " and ".join(sorted(a for a, b in zip("xyz", order, strict=True) if a != b))
            raise ValueError(
                f"{file} agrees with its label {file_name(label)} only with the axes {axes} swapped; state the file's "
                "order with --order"
            )


def original_shape(image: Any) -> tuple[int, ...]:
    """The image's shape in its file, without channels."""
    shape = getattr(image, "meta", {}).get("spatial_shape")
    return tuple(image.shape[1:]) if shape is None else tuple(int(size) for size in shape)[: image.ndim - 1]


def on_grid_of(probabilities: torch.Tensor, image: Any) -> torch.Tensor:
    """P̂ on the grid of the image's file to the grid that the image has now.

    One class after the other, and written over what was given where the shape stays, because P̂ of a large case does not
    fit twice into memory.
    """
    if not isinstance(image, MetaTensor):
        return probabilities
    target = probabilities
    for index in range(len(probabilities)):
        placed = class_on_grid_of(probabilities[index : index + 1].clone(), image)
        if index == 0 and placed.shape[1:] != probabilities.shape[1:]:
            target = probabilities.new_empty((len(probabilities), *placed.shape[1:]))
        target[index : index + 1] = placed
    return MetaTensor(target, meta=dict(image.meta))


def class_on_grid_of(probability: torch.Tensor, image: MetaTensor) -> torch.Tensor:
    """The same of one class."""
    start = torch.as_tensor(np.asarray(image.meta.get("original_affine", image.affine)), dtype=torch.float64)
    placed: Any = MetaTensor(probability, affine=start)
    codes = ["".join(nibabel.aff2axcodes(np.asarray(affine))) for affine in (start, image.affine)]
    if codes[0] != codes[1]:
        placed = Orientation(axcodes=codes[1], labels=None)(placed)
    same = placed.shape[1:] == image.shape[1:] and torch.allclose(
        placed.affine, image.affine.to(placed.affine), atol=1e-3
    )
    if not same:
        resample = SpatialResample(mode="bilinear", padding_mode="border")
        placed = resample(placed, dst_affine=image.affine, spatial_size=image.shape[1:])
    return placed.as_tensor().float()
