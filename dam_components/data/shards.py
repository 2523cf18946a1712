"""One process's part of many studies, and which of them an earlier, broken-off run has finished."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.utils import ensure_tuple

from dam_components.data.dataset_layouts import listed_name

__all__ = ["OUTPUTS", "cases_to_do", "check_shard", "is_finished"]

OUTPUTS = ("seg.nii.gz", "confidence.nii.gz", "report.json")


def cases_to_do(
    cases: Sequence[dict[str, Any]],
    output_dir: str | os.PathLike,
    shard: int | str | None = None,
    shards: int | str = 1,
    skip_finished: bool = False,
    outputs: Sequence[str] = OUTPUTS,
) -> list[dict[str, Any]]:
    """Every ``shards``-th case from number ``shard`` on, without those that are finished.

    The cases are dealt out first and the finished ones left out afterwards: so a shard's cases do not depend on how
    far the others have come, and a shard that is started again, with the same ``shards``, never takes another's case.

    A case is finished if all its ``outputs`` lie in ``output_dir``; ``inference.json`` writes each whole or not at all,
    and the report last. Nothing says with which weights they were made: other weights want another folder.

    Args:
        cases: all of them, in the same order in every process.
        output_dir: where results go.
        shard: this process's number, from 0; ``None``: there is one shard only.
        shards: how many processes share the cases.
        skip_finished: whether finished cases are left out.
        outputs: endings of a finished case's files, ``<case>/<case>_<ending>``.

    Raises:
        ValueError: on a number out of its range, or if two cases would write the same files.

    Example:
        >>> cases = [{"image": f"case{i}.nii.gz"} for i in range(5)]
        >>> [case["image"] for case in cases_to_do(cases, "output", shard=1, shards=2)]
        ['case1.nii.gz', 'case3.nii.gz']
    """
    number, count = check_shard(shard, shards)
    first: dict[Path, str] = {}
    for case in cases:
        target, image = output_file(case, output_dir, outputs[-1]), str(ensure_tuple(case["image"])[0])
        if target in first:
            raise ValueError(f"{first[target]} and {image} would both write to {target.parent}: rename one of them")
        first[target] = image
    mine = list(cases[number::count])
    left = [case for case in mine if not (skip_finished and is_finished(case, output_dir, outputs))]
    if count > 1 or len(left) < len(mine):
        logging.getLogger(__name__).info(
            "shard %d of 0..%d: %d of %d cases, %d of them finished already",
            number, count - 1, len(mine), len(cases), len(mine) - len(left),
        )  # fmt: skip
    return left


def is_finished(case: dict[str, Any], output_dir: str | os.PathLike, outputs: Sequence[str] = OUTPUTS) -> bool:
    """Whether all output files of a case are there."""
    return all(output_file(case, output_dir, ending).is_file() for ending in outputs)


def output_file(case: dict[str, Any], output_dir: str | os.PathLike, ending: str) -> Path:
    """Where a file of a case goes, ``<case>/<case>_<ending>``; the first of several images gives the name."""
    name = listed_name(case)
    return Path(output_dir, name, f"{name}_{ending}")


def check_shard(shard: int | str | None, shards: int | str) -> tuple[int, int]:
    """Both as numbers, checked. They come from the command line or from ``RANK`` and ``WORLD_SIZE``.

    Raises:
        ValueError: if they are no whole numbers, or do not fit each other.
    """
    for name, value in (("shards", shards), ("shard", shard)):
        if value is not None and not str(value).strip().removeprefix("-").isdecimal():
            raise ValueError(f"{name} must be a whole number, got {value!r}")
    count = int(shards)
    if count < 1:
        raise ValueError(f"shards must be at least 1, got {count}")
    if shard is None:
        if count > 1:
            raise ValueError(f"with --shards {count} every process needs its own --shard, one of 0..{count - 1}")
        return 0, 1
    if not 0 <= int(shard) < count:
        raise ValueError(
            f"shard must be one of 0..{count - 1} with --shards {count}, got {int(shard)}; "
            f"they count from 0 (Slurm: --array=0-{count - 1})"
        )
    return int(shard), count
