"""Writing a map beside the segmentation, and telling where it lies."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, SaveImage

from dam_components.transforms.save import named_by_case

__all__ = ["SaveMapd"]


class SaveMapd(MapTransform):
    """Writes a map as MONAI's ``SaveImaged`` does, and puts its absolute path into ``data["result"]``.

    MONAI Label drops every ``SaveImaged``, returns one image, and returns ``data["result"]`` as its parameters. So a
    second image, such as M, reaches a client by this path.

    Args:
        keys: the map, one key, ``(1, ...)`` in its image's own space, with the image's metadata, which name its file.
        output_dir: the map goes to ``<output_dir>/<case>/<case>_<output_postfix>.nii.gz``; another run on the same case
            replaces it.
        output_postfix: as in ``SaveImaged``.
        result_key: under which name the path is told; ``None``: ``<key>_map``.
        allow_missing_keys: pass data without the map on untouched.
        options: further arguments of ``SaveImage``: ``output_dtype``, ``resample``, ``writer``, ...

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
        **options: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name the map, one key, got {list(self.keys)}")
        self.result_key = f"{self.keys[0]}_map" if result_key is None else result_key
        options = {"output_name_formatter": named_by_case, **options}
        self.save = SaveImage(
            output_dir=output_dir, output_postfix=output_postfix, savepath_in_metadict=True, **options
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            saved: Any = self.save(result[key])
            path = os.path.abspath(saved.meta["saved_to"])
            result["result"] = {**result.get("result", {}), self.result_key: path}
        return result
