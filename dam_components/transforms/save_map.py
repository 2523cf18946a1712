"""Writing a map beside the segmentation, and telling where it lies."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, SaveImage

from dam_components.transforms.save import FractionWriter, WholeFileWriter, named_by_case
from dam_components.transforms.slabwise import plain, slabs

__all__ = ["SaveMapd"]


class SaveMapd(MapTransform):
    """Writes a map of values in 0..1, and puts its absolute path into ``data["result"]``.

    By default the file holds bytes and says in its header that they are 255ths (``scl_slope``), so what is read differs
    from the map by at most 0.002, and the file is smaller than float32 by about ten times. With an ``output_dtype`` the
    map is written as MONAI's ``SaveImaged`` does it.

    MONAI Label drops every ``SaveImaged``, returns one image, and returns ``data["result"]`` as its parameters. So a
    second image, such as M, reaches a client by this path.

    Args:
        keys: the map, one key, ``(1, ...)`` in its image's own space, with the image's metadata, which name its file.
        output_dir: the map goes to ``<output_dir>/<case>/<case>_<output_postfix>.nii.gz``; another run on the same case
            replaces it.
        output_postfix: as in ``SaveImaged``.
        result_key: under which name the path is told; ``None``: ``<key>_map``.
        allow_missing_keys: pass data without the map on untouched.
        output_dtype: "float32" for the values as they are; ``None``: bytes.
        options: further arguments of ``SaveImage``: ``resample``, ``print_log``, ...

    Raises:
        ValueError: more than one key.

    Example:
        >>> import tempfile, torch
        >>> from monai.data import MetaTensor
        >>> data = {"confidence": MetaTensor(torch.ones(1, 2, 2, 2), meta={"filename_or_obj": "case3.nii.gz"})}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     told = SaveMapd("confidence", folder, "confidence", print_log=False)(data)["result"]
        >>> os.path.basename(told["confidence_map"])
        'case3_confidence.nii.gz'
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        output_postfix: str,
        result_key: str | None = None,
        allow_missing_keys: bool = False,
        output_dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name the map, one key, got {list(self.keys)}")
        self.result_key = f"{self.keys[0]}_map" if result_key is None else result_key
        options = {"output_name_formatter": named_by_case, **options}
        self.as_bytes = output_dtype is None
        written = (
            {"output_dtype": "uint8", "writer": FractionWriter} if self.as_bytes else {"output_dtype": output_dtype}
        )
        self.save = SaveImage(
            output_dir=output_dir,
            output_postfix=output_postfix,
            savepath_in_metadict=True,
            **{"writer": WholeFileWriter, **options, **written},
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            saved: Any = self.save(in_bytes(result[key]) if self.as_bytes else result[key])
            path = os.path.abspath(saved.meta["saved_to"])
            result["result"] = {**result.get("result", {}), self.result_key: path}
        return result


def in_bytes(values: torch.Tensor) -> torch.Tensor:
    """Values in 0..1 as the nearest 255th, in uint8, with their metadata.

    Example:
        >>> in_bytes(torch.tensor([[0.0, 0.499, 1.0]]))
        tensor([[  0, 127, 255]], dtype=torch.uint8)
    """
    numbers = plain(values)
    result = torch.empty(numbers.shape, dtype=torch.uint8)
    for slab in slabs(numbers):
        result[:, slab] = (numbers[:, slab].float().clamp(0, 1) * 255).round().to(torch.uint8)
    if isinstance(values, MetaTensor):
        return MetaTensor(result, meta=values.meta, applied_operations=values.applied_operations)
    return result
