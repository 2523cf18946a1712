"""The cases of a ``dataset.json`` as MONAI's ``load_decathlon_datalist`` gives them, also with a byte order mark."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dam_components.data.dataset_layouts import CASE_KEY, PATIENT_KEY

__all__ = ["NoSuchListError", "read_decathlon_list"]


class NoSuchListError(ValueError):
    """A ``dataset.json`` without a list of this name."""


def read_decathlon_list(index_file: str | os.PathLike, section: str) -> list[dict[str, Any]]:
    """Image and label of each case, and its name and patient where given, with their paths from the folder of the file.

    MONAI's own function fails on the byte order mark that Windows editors write.

    Args:
        index_file: ``dataset.json``.
        section: ``training`` or ``test``.

    Raises:
        NoSuchListError: there is no list under this name.
        ValueError: the file is no JSON, or an entry names no image.
    """
    file = Path(index_file)
    try:
        index = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({error}): correct it, or fetch it again") from None
    entries = index.get(section) if isinstance(index, dict) else None
    if not isinstance(entries, list):
        raise NoSuchListError(f"{file} has no list {section!r}: add it")
    return [_entry(_mapping(entry), file.parent) for entry in entries]


def _entry(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    placed: dict[str, Any] = {key: _placed(entry[key], folder) for key in ("image", "label") if key in entry}
    return {**placed, **{key: str(entry[key]) for key in (CASE_KEY, PATIENT_KEY) if key in entry}}


def _mapping(entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):  # the Decathlon's test cases are names alone
        return {"image": entry}
    if not isinstance(entry, dict) or "image" not in entry:
        raise ValueError(f"an entry names no image: {entry!r}")
    return entry


def _placed(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_placed(one, folder) for one in value]
    return os.path.normpath(folder / value) if isinstance(value, str) else value
