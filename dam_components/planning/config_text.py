"""How this project writes the JSON of a configuration."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["config_text"]

WIDTH = 120


def config_text(config: Any) -> str:
    """JSON in which every part that fits stands on one line, so that a list of transforms reads as a table.

    The text is ASCII: MONAI reads configurations in the machine's own encoding.

    Args:
        config: plain values, lists and dictionaries.

    Returns:
        Lines of at most 120 characters, unless a single text is longer, and a newline at the end.

    Example:
        >>> print(config_text({"strides": [[2, 2, 1], 2], "folds": {"fold": 0, "seed": 0}}), end="")
        {
            "strides": [[2, 2, 1], 2],
            "folds": {"fold": 0, "seed": 0}
        }
    """
    return _text(config, "", WIDTH) + "\n"


def _text(value: Any, indent: str, taken: int) -> str:
    """The value; ``taken`` characters of its line are in use."""
    row = json.dumps(value)
    if not isinstance(value, (dict, list)) or not value or taken + len(row) < WIDTH:
        return row
    inner = indent + "    "
    if isinstance(value, dict):
        entries, ends = [(f"{json.dumps(key)}: ", item) for key, item in value.items()], "{}"
    else:
        entries, ends = [("", item) for item in value], "[]"
    lines = ",\n".join(inner + key + _text(item, inner, len(inner + key)) for key, item in entries)
    return f"{ends[0]}\n{lines}\n{indent}{ends[1]}"
