"""Headers of MetaImage and NRRD against the size of their voxels, before ITK takes memory for what they claim."""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path

from dam_components.data.bad_file import BadFile

__all__ = ["check_itk_file"]

HEADER_BYTES = 1 << 16
MOST_DEFLATED = 1032  # deflate makes no more of a byte
FETCH = "it is damaged: fetch it again"
META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}
NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4
    ),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), 8),
    **dict.fromkeys(("int64", "int64_t", "double"), 8),
}


def check_itk_file(file: Path) -> None:
    """Compares what a ``.mha``, ``.mhd`` or ``.nrrd`` header claims with what there is; others pass.

    Raises:
        BadFile: no header, voxels missing or too few for the header, a damaged compressed stream.
    """
    suffix = file.suffix.lower()
    if suffix in (".mha", ".mhd"):
        _check_meta_image(file)
    elif suffix in (".nrrd", ".nhdr"):
        _check_nrrd(file)


def _check_meta_image(file: Path) -> None:
    fields, begin = _fields(file, "=", end="elementdatafile")
    try:
        kind = fields["elementtype"].removeprefix("MET_").removesuffix("_ARRAY").removeprefix("U")
        sizes = [int(size) for size in fields["dimsize"].split()]
        count = math.prod(sizes) * int(fields.get("elementnumberofchannels", 1))
        claimed, where = count * META_BYTES[kind], fields["elementdatafile"]
    except (KeyError, ValueError):
        raise BadFile(file, "cannot be read: its header is no MetaImage's", FETCH) from None
    voxels = file if where.upper() == "LOCAL" else file.parent / where
    if where.upper() == "LIST" or "%" in where:
        return
    packed = fields.get("compresseddata", "False").lower() in ("true", "1")
    _check_voxels(file, voxels, begin if voxels == file else 0, claimed, zlib.MAX_WBITS if packed else None)


def _check_nrrd(file: Path) -> None:
    fields, begin = _fields(file, ":", end="")
    try:
        claimed = math.prod(int(size) for size in fields["sizes"].split()) * NRRD_BYTES[fields["type"].lower()]
    except (KeyError, ValueError):
        raise BadFile(file, "cannot be read: its header is no NRRD's", FETCH) from None
    where = fields.get("data file", fields.get("datafile"))
    encoding = fields.get("encoding", "raw").lower()
    if encoding not in ("raw", "gzip", "gz") or (where and (where.startswith("LIST") or "%" in where)):
        return
    voxels = file.parent / where if where else file
    _check_voxels(file, voxels, 0 if where else begin, claimed, None if encoding == "raw" else 16 + zlib.MAX_WBITS)


def _fields(file: Path, mark: str, end: str) -> tuple[dict[str, str], int]:
    """The header's lines up to the one that ends it, by lower-case name, and where the voxels begin."""
    with open(file, "rb") as stream:
        head = stream.read(HEADER_BYTES)
    fields: dict[str, str] = {}
    begin = 0
    for line in head.splitlines(keepends=True):
        begin += len(line)
        text = line.decode("latin-1").strip()
        name, _, value = text.partition(mark)
        if mark in text:
            fields[name.strip().lower()] = value.lstrip("=").strip()
        if text.lower() == end or (end and name.strip().lower() == end):
            return fields, begin
    if end or not fields:
        raise BadFile(file, "cannot be read: its header has no end", FETCH)
    return fields, begin


def _check_voxels(header: Path, voxels: Path, begin: int, claimed: int, window: int | None) -> None:
    if not voxels.is_file():
        raise BadFile(header, f"names the voxels {voxels.name}, which are not beside it", "fetch both files")
    held = os.path.getsize(voxels) - begin
    if window is None:
        if held != claimed:
            raise BadFile(voxels, f"holds {held} bytes of voxels, its header claims {claimed}", FETCH)
        return
    if claimed > held * MOST_DEFLATED:
        raise BadFile(voxels, f"holds {held} bytes, too few for the {claimed} that its header claims", FETCH)
    stream, found = zlib.decompressobj(window), 0
    try:
        with open(voxels, "rb") as file:
            file.seek(begin)
            while (block := file.read(1 << 20)) and found <= claimed and not stream.eof:
                found += len(stream.decompress(block))
    except zlib.error as error:
        raise BadFile(voxels, f"cannot be read: it is damaged ({error})", FETCH) from None
    if not stream.eof or found != claimed:
        raise BadFile(voxels, f"holds {found} bytes of voxels, its header claims {claimed}", FETCH)
