"""The processes that torchrun starts side by side: waiting for each other, and bringing together what each found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch.distributed as dist
from monai.data import DistributedSampler

__all__ = ["case_sampler", "gather_from_ranks", "wait_for_other_ranks"]


def case_sampler(
    dataset: Any, may_repeat: bool = False, ranks: int | None = None, rank: int | None = None
) -> DistributedSampler:
    """Shares cases among the ranks, each case once; a single case is given to all of them, whose mean is the same.

    Args:
        dataset: of the cases.
        may_repeat: give every rank as many, some of them twice, for results that count each case once.
        ranks: their number; by default that of the process group.
        rank: this one's; likewise.

    Raises:
        ValueError: there are fewer cases than ranks, and none may be given twice.

    Example:
        >>> [[*case_sampler(["a"], ranks=2, rank=rank)] for rank in (0, 1)]
        [[0], [0]]
        >>> [[*case_sampler(["a", "b", "c"], ranks=2, rank=rank)] for rank in (0, 1)]
        [[0, 2], [1]]
    """
    ranks = dist.get_world_size() if ranks is None else ranks
    even = may_repeat or len(dataset) == 1
    if len(dataset) < ranks and not even:
        raise ValueError(
            f"{len(dataset)} validation cases are too few for {ranks} processes: give each one "
            f"(--folds#validation {ranks}), or start fewer processes"
        )
    return DistributedSampler(dataset, even_divisible=even, shuffle=False, num_replicas=ranks, rank=rank)


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
