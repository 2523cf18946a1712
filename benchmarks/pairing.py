"""Times of variants that run in turn, and the ratio of each to the first with its spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

__all__ = ["clock", "interleave", "ratio_columns", "time_rows"]


def clock(device: str | torch.device) -> tuple[str, Callable[[], float]]:
    """A clock for the device, and its name: processor time on a CPU with one thread, which a busy machine disturbs
    least; else wall time, on CUDA after the queue has run empty."""
    if torch.device(device).type == "cuda":

        def synchronized() -> float:
            torch.cuda.synchronize()
            return time.perf_counter()

        return "wall", synchronized
    return ("processor", time.process_time) if torch.get_num_threads() == 1 else ("wall", time.perf_counter)


def interleave(
    variants: Mapping[str, Callable[[], object]], rounds: int, device: str | torch.device = "cpu", warmup: int = 1
) -> dict[str, np.ndarray]:
    """Seconds of each variant in each round. The order turns with the rounds, so that none is always first.

    Example:
        >>> times = interleave({"a": lambda: sum(range(10)), "b": lambda: sum(range(1000))}, rounds=3)
        >>> {name: len(seconds) for name, seconds in times.items()}
        {'a': 3, 'b': 3}
    """
    _, now = clock(device)
    for _ in range(warmup):
        for run in variants.values():
            run()
    names = list(variants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = now()
            variants[name]()
            seconds[name].append(now() - start)
    return {name: np.asarray(values) for name, values in seconds.items()}


def ratio_columns(seconds: np.ndarray, base: np.ndarray, prefix: str = "ratio", seed: int = 0) -> dict[str, float]:
    """Median of the paired ratios, their quartiles, and the 95 % bootstrap interval of the median.

    Example:
        >>> ratio_columns(np.array([2.0, 4.0]), np.array([1.0, 2.0]))["ratio"]
        2.0
    """
    ratios = seconds / np.maximum(base, 1e-9)
    draws = np.random.default_rng(seed).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    return {
        prefix: float(np.median(ratios)),
        f"{prefix}_q25": float(np.quantile(ratios, 0.25)),
        f"{prefix}_q75": float(np.quantile(ratios, 0.75)),
        f"{prefix}_ci_low": float(low),
        f"{prefix}_ci_high": float(high),
    }


def time_rows(times: Mapping[str, np.ndarray], device: str | torch.device, base: str | None = None) -> list[dict]:
    """A table's rows, one a variant: median seconds and the ratio to ``base`` (the first variant)."""
    reference = times[base or next(iter(times))]
    return [
        {
            "variant": name,
            "clock": clock(device)[0],
            "rounds": len(seconds),
            "seconds": float(np.median(seconds)),
            **ratio_columns(seconds, reference),
        }
        for name, seconds in times.items()
    ]
