"""Resampling that also works where a server puts its own entries into the data."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import Spacingd

__all__ = ["BundleSpacingd"]


class BundleSpacingd(Spacingd):
    """MONAI's ``Spacingd`` for data that holds entries such as ``image_path``, as MONAI Label's does.

    Since MONAI 1.6, ``Spacingd`` takes every entry named ``image_*`` for a dictionary of metadata and fails on a
    string. Here such entries are set aside while it works.
    """

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        prefixes = tuple(f"{key}_" for key in self.keys)
        aside: dict[Hashable, Any] = {
            key: value
            for key, value in data.items()
            if isinstance(key, str) and key.startswith(prefixes) and not isinstance(value, dict)
        }
        rest = {key: value for key, value in data.items() if key not in aside}
        return {**super().__call__(rest, lazy), **aside}
