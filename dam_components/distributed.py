"""The processes that torchrun starts side by side: waiting for each other, and bringing together what each found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch.distributed as dist

__all__ = ["gather_from_ranks", "wait_for_other_ranks"]


def gather_from_ranks(value: Any) -> list[Any]:
    """The value of every rank, in order of rank, on every rank; without a process group ``[value]``.

    Every rank must call it, or the others wait.

    Example:
        >>> gather_from_ranks("mine")
        ['mine']
    """
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def wait_for_other_ranks(days: float = 30) -> None:
    """Returns when every rank that torchrun started with this one has called it; at once if torchrun started none.

    torchrun ends all ranks as soon as one of them fails: a rank that is done and means to end with a failure waits, so
    that the others finish their cases first. Ranks that work each on their own need no process group before.

    Args:
        days: how long to wait at most.
    """
    if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
        dist.init_process_group("gloo", timeout=timedelta(days=days))
        dist.barrier()
        dist.destroy_process_group()
