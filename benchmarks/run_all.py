"""All benchmarks in one call, on the GPU where there is one; tables go to docs/results/benchmarks."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fire
import torch

from benchmarks import inference, losses, networks, pipeline, precision, scaling, step, time_to_dice, whole_inference

__all__ = ["main"]


def main(
    output_dir: str = "docs/results/benchmarks",
    device: str | None = None,
    threads: int | None = None,
    rounds: int = 30,
    budget_s: float | None = None,
    dataset_dir: str | None = None,
) -> None:
    """Runs every benchmark; one that fails is reported, and the others still run.

    Args:
        output_dir: where the tables go; on CUDA a folder ``cuda`` inside.
        device: "cpu" or "cuda"; by default CUDA where there is one.
        threads: of the CPU; by default 1, and all of them on CUDA.
        rounds: paired rounds of each timing.
        budget_s: seconds of training for each network of time_to_dice; 0 leaves it out. By default 900 on a CPU, 120 on
            CUDA.
        dataset_dir: the hippocampus cases.

    Raises:
        SystemExit: if one failed.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device == "cuda"
    folder = str(Path(output_dir) / "cuda" if on_gpu else output_dir)
    common: dict[str, Any] = {
        "output_dir": folder,
        "device": device,
        "threads": threads or (torch.get_num_threads() if on_gpu else 1),
    }
    budget = (120.0 if on_gpu else 900.0) if budget_s is None else budget_s
    volume = (256, 256, 160) if on_gpu else (128, 128, 80)
    jobs: dict[str, Callable[[], None]] = {
        "losses": lambda: losses.main(rounds=rounds, **common),
        "step": lambda: step.main(rounds=rounds, **common),
        "networks": lambda: networks.main(rounds=max(3, rounds // 2), **common),
        "inference": lambda: inference.main(rounds=max(3, rounds // 5), volume=volume, amp=on_gpu, **common),
        "pipeline": lambda: pipeline.main(dataset_dir=dataset_dir, **common),
        "scaling": lambda: scaling.main(rounds=max(3, rounds // 6), **common),
        "time_to_dice": lambda: time_to_dice.main(budget_s=budget, dataset_dir=dataset_dir, **common),
    }
    if budget == 0:
        jobs.pop("time_to_dice")
    if not on_gpu:  # these are questions of the CPU: its bfloat16, and the memory of the process
        jobs["precision"] = lambda: precision.main(folder, common["threads"], rounds=max(3, rounds // 5))
        jobs["whole_inference"] = lambda: whole_inference.main(**common)
    failed = []
    for name, job in jobs.items():
        try:
            job()
        except Exception:  # a benchmark of hours must not be lost to the failure of one part
            traceback.print_exc()
            failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    fire.Fire(main)
