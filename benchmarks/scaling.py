"""How time and memory of the loss, and time of a step, grow with patch size, classes and batch; with a straight fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import fire
import numpy as np
import pandas as pd
import torch

from benchmarks.losses import build_loss
from benchmarks.memory import peaks_mb
from benchmarks.pairing import interleave
from benchmarks.tables import write_table
from benchmarks.training_steps import Problem, build_step

__all__ = ["fit", "main", "measure"]

LOSS = "DifficultyAwareHybridLoss"
PATCHES = ((32, 32, 16), (64, 32, 16), (64, 64, 16), (64, 64, 32), (128, 64, 32))
CLASSES = (2, 10, 20, 50, 100)
BATCHES = (1, 2, 4, 8, 16)


def fit(amount: Sequence[float], cost: Sequence[float]) -> dict[str, float]:
    """Least-squares line through the costs: its R², and the exponent of the growth (slope in double logarithm) once
    the line's fixed part is taken off; 1 is linear.

    Example:
        >>> {name: round(value, 3) for name, value in fit([1, 2, 4, 8], [3, 4, 6, 10]).items()}
        {'r2': 1.0, 'exponent': 1.0}
    """
    x, y = np.asarray(amount, float), np.asarray(cost, float)
    slope, fixed = np.polyfit(x, y, 1)
    rest = y - max(fixed, 0.0)
    positive = rest > 0
    exponent = np.polyfit(np.log(x[positive]), np.log(rest[positive]), 1)[0] if positive.sum() > 1 else float("nan")
    residual = ((y - fixed - slope * x) ** 2).sum()
    return {"r2": float(1 - residual / max(((y - y.mean()) ** 2).sum(), 1e-30)), "exponent": float(exponent)}


def series(what: str, axis: str, amounts: Sequence[int], costs: Sequence[float], unit: str) -> list[dict]:
    fitted = fit(amounts, costs)
    return [
        {"what": what, "grows": axis, "amount": amount, "cost": cost, "unit": unit, **fitted}
        for amount, cost in zip(amounts, costs, strict=True)
    ]


def measure(
    patches: Sequence[Sequence[int]] = PATCHES,
    classes: Sequence[int] = CLASSES,
    batches: Sequence[int] = BATCHES,
    rounds: int = 5,
    device: str = "cpu",
    channels: Sequence[int] = (16, 32, 64, 128),
    with_memory: bool = True,
) -> pd.DataFrame:
    """One row a size; the fit's columns belong to the whole series of that size."""
    small = tuple(patches[0])
    loss_sizes = {
        "voxels a patch": [(LOSS, 4, tuple(patch), 2, device) for patch in patches],
        "classes": [(LOSS, count, small, 2, device) for count in classes],
        "batch": [(LOSS, 4, small, count, device) for count in batches],
    }
    amounts = {"voxels a patch": [int(np.prod(patch)) for patch in patches], "classes": classes, "batch": batches}
    rows: list[dict] = []
    for axis, sizes in loss_sizes.items():
        losses: dict[str, Callable[[], object]] = {str(each): build_loss(*each) for each in sizes}
        rows += series("loss", axis, amounts[axis], medians(losses, rounds, device), "s")
        if with_memory:
            # the first in a process also pays for what its libraries keep, some 15 MB, and is not counted
            peaks = peaks_mb(build_loss, [sizes[0], *sizes], device)[1:]
            rows += series("loss", axis, amounts[axis], peaks, "MB")

    def step(**sizes: object) -> Callable[[], object]:
        problem = {"patch": small, "batch": 2, "channels": channels, "device": device, **sizes}
        return build_step("ConfidenceTrainer", Problem(**problem))  # type: ignore[arg-type]

    steps = {
        "voxels a patch": [step(patch=tuple(patch)) for patch in patches],
        "classes": [step(classes=count) for count in classes],
        "batch": [step(batch=count) for count in batches],
    }
    for axis, runs in steps.items():
        work = {str(index): run for index, run in enumerate(runs)}
        rows += series("step", axis, amounts[axis], medians(work, rounds, device), "s")
    return pd.DataFrame(rows)


def medians(work: dict[str, Callable[[], object]], rounds: int, device: str) -> list[float]:
    return [float(np.median(seconds)) for seconds in interleave(work, rounds, device).values()]


def main(output_dir: str = "docs/results/benchmarks", device: str = "cpu", threads: int = 1, rounds: int = 5) -> None:
    """Writes scaling.md and scaling.csv."""
    torch.set_num_threads(threads)
    title = "Growth with patch size, classes and batch (exponent 1: linear)"
    write_table(measure(rounds=rounds, device=device), output_dir, "scaling", title, device)


if __name__ == "__main__":
    fire.Fire(main)
