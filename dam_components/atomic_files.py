"""Writing files whole or not at all."""

from __future__ import annotations

import importlib.util
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["copy_whole", "lacks_itk", "whole_file", "whole_stream", "write_whole"]

ITK_SUFFIXES = (".mhd", ".mha")


def lacks_itk(path: str | os.PathLike) -> bool:
    """Whether MONAI reads this file, or folder of a DICOM series, with ITK, and ITK is not installed.

    Example:
        >>> lacks_itk("scan.nii.gz")
        False
    """
    file = Path(path)
    needs_itk = file.is_dir() or file.name.endswith(ITK_SUFFIXES)
    return needs_itk and importlib.util.find_spec("itk") is None


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


@contextmanager
def whole_stream(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A stream to write a large file to, which gets its name when the block ends well.

    On Linux it has no name until then, so a process that is killed leaves nothing behind. Where the system cannot do
    that, it is :func:`whole_file`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_stream(f"{folder}/a.bin") as stream:
        ...         _ = stream.write(b"one")
        ...     [file.name for file in Path(folder).iterdir()]
        ['a.bin']
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(target.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
    except (AttributeError, OSError):  # not Linux, or a file system that has no files without a name
        with whole_file(target) as temporary, open(temporary, "wb") as stream:
            yield stream
        return
    with open(descriptor, "w+b") as stream:
        yield stream
        stream.flush()
        os.fsync(descriptor)
        with whole_file(target) as temporary:
            # a folder as src_dir_fd makes Python follow the link to the file without a name
            os.link(f"/proc/self/fd/{descriptor}", temporary, src_dir_fd=descriptor, follow_symlinks=True)


def copy_whole(file: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies a file by :func:`whole_stream`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     copy_whole(write_whole(f"{folder}/a.txt", "one"), f"{folder}/new/b.txt")
        ...     Path(folder, "new", "b.txt").read_text()
        'one'
    """
    with open(file, "rb") as content, whole_stream(target) as place:
        shutil.copyfileobj(content, place)


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
