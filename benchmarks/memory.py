"""Peak memory of a piece of work over what was held before it: RSS in a process of its own, or what CUDA counts."""

from __future__ import annotations

import gc
import os
import re
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psutil
import torch

__all__ = ["peak_mb", "peaks_mb"]

Build = Callable[..., Callable[[], object]]


def peak_mb(build: Build, arguments: tuple, device: str | torch.device = "cpu", repeats: int = 2) -> float:
    """Peak of building ``build(*arguments)`` and calling what it returns ``repeats`` times, in MB."""
    return peaks_mb(build, [arguments], device, repeats)[0]


def peaks_mb(
    build: Build, arguments: Sequence[tuple], device: str | torch.device = "cpu", repeats: int = 2
) -> list[float]:
    """:func:`peak_mb` of several pieces, one after the other; on the CPU all in one process that ends with them.

    Args:
        build: a function that a new process can import; it returns the work.
        arguments: of each call of ``build``.
        device: where the work runs.
        repeats: calls of the work; the second is where optimizers hold their state.
    """
    if torch.device(device).type == "cuda":
        return [_cuda_peak(build, each, repeats) for each in arguments]
    # blocks of 64 KB and more go back to the system at once, so that RSS follows what is held
    before = os.environ.get("MALLOC_MMAP_THRESHOLD_")
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(_rss_peaks, build, list(arguments), repeats, torch.get_num_threads()).result()
    finally:
        os.environ.pop("MALLOC_MMAP_THRESHOLD_")
        if before is not None:
            os.environ["MALLOC_MMAP_THRESHOLD_"] = before


def _rss_peaks(build: Build, arguments: list[tuple], repeats: int, threads: int) -> list[float]:
    torch.set_num_threads(threads)
    peaks = []
    for each in arguments:
        gc.collect()
        _forget_peak()
        before = psutil.Process().memory_info().rss
        work = build(*each)
        for _ in range(repeats):
            work()
        peaks.append(max(_peak_bytes() - before, 0) / 1e6)
        del work
    return peaks


def _cuda_peak(build: Build, arguments: tuple, repeats: int) -> float:
    gc.collect()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work = build(*arguments)
    for _ in range(repeats):
        work()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def _forget_peak() -> None:
    counters = Path("/proc/self/clear_refs")
    if counters.exists():
        counters.write_text("5")


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
