"""Writing files whole or not at all, and telling them apart."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from monai.utils import optional_import

__all__ = ["digest_of", "lacks_itk", "whole_file", "write_whole"]

ITK_SUFFIXES = (".mhd", ".mha")


def lacks_itk(path: str | os.PathLike) -> bool:
    """Whether MONAI reads this file, or folder of a DICOM series, with ITK, and ITK is not installed.

    Example:
        >>> lacks_itk("scan.nii.gz")
        False
    """
    file = Path(path)
    needs_itk = file.is_dir() or file.name.endswith(ITK_SUFFIXES)
    return needs_itk and not optional_import("itk", allow_namespace_pkg=True)[1]


def digest_of(files: Iterable[str | os.PathLike | Sequence[str]]) -> str:
    """A short name for what the files, or lists of files, hold, in this order: 16 digits of SHA-256.

    Raises:
        FileNotFoundError: if there is no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     digest_of([write_whole(f"{folder}/a.txt", "one")])
        '7692c3ad3540bb80'
    """
    found = hashlib.sha256()
    for entry in files:
        for file in [entry] if isinstance(entry, (str, os.PathLike)) else entry:
            found.update(Path(file).read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary name beside the file, with its ending, to write to; renamed when the block ends well, so that nobody
    ever sees half a file.

    Folders on the way are made, an older file is replaced, and a failure leaves nothing behind.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(f"{folder}/new/a.bin") as temporary:
        ...         _ = temporary.write_bytes(b"one")
        ...     [file.name for file in Path(folder, "new").iterdir()]
        ['a.bin']
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid.uuid4().hex}_{target.name}")  # process ids repeat across machines
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike, text: str) -> Path:
    """Writes text by :func:`whole_file`. Lines end as they do in the text, on every system.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(f"{folder}/new/a.txt", "one").read_text()
        'one'
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)
