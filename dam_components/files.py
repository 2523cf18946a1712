"""Writing files whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike, text: str) -> Path:
    """Writes text to a temporary name beside the file, then renames it: nobody ever sees half a file.

    Folders on the way are made, an older file is replaced, and a failure leaves nothing behind. Lines end as they do in
    the text, on every system.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(f"{folder}/new/a.txt", "one").read_text()
        'one'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid.uuid4().hex}_{target.name}")  # process ids repeat across machines
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
