"""What one training step costs, in time and memory, beside the supervised step of the same S."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import fire
import pandas as pd
import torch

from benchmarks.memory import peak_mb
from benchmarks.pairing import interleave, time_rows
from benchmarks.tables import write_table
from benchmarks.training_steps import STEPS, Problem, build_step

__all__ = ["main", "measure"]

PROBLEMS = {
    "4x64x64x16": Problem(),
    "bundle, 1x32x48x32": Problem(patch=(32, 48, 32), batch=1, strides=(2, 2, 2)),
}
ITERATIONS = 2  # of a round: what is done in every second one is in each round


def measure(
    problem: Problem, rounds: int = 30, variants: Sequence[str] = tuple(STEPS), with_memory: bool = True
) -> pd.DataFrame:
    """One row a variant: seconds of a step, peak memory, and their ratios to the supervised step."""

    def round_of(step: Callable[[], object]) -> Callable[[], object]:
        return lambda: [step() for _ in range(ITERATIONS)]

    steps = {name: build_step(name, problem) for name in variants}
    compiled = replace(problem, compile=True)
    if torch.device(problem.device).type == "cuda":
        steps |= {f"{name}, compiled": build_step(name, compiled) for name in variants[:2]}
    times = interleave({name: round_of(step) for name, step in steps.items()}, rounds, problem.device, warmup=2)
    rows = time_rows({name: seconds / ITERATIONS for name, seconds in times.items()}, problem.device)
    if with_memory:
        del steps
        for row in rows:
            name = row["variant"].removesuffix(", compiled")
            how = problem if name == row["variant"] else compiled
            row["peak_mb"] = peak_mb(build_step, (name, how), problem.device)
            row["memory_ratio"] = row["peak_mb"] / max(rows[0]["peak_mb"], 1e-9)
    return pd.DataFrame(rows)


def main(output_dir: str = "docs/results/benchmarks", device: str = "cpu", threads: int = 1, rounds: int = 30) -> None:
    """Writes step.md and step.csv: every problem in float32 and under AMP."""
    torch.set_num_threads(threads)
    tables = []
    for name, problem in PROBLEMS.items():
        for amp in (False, True):
            table = measure(replace(problem, device=device, amp=amp), rounds)
            table.insert(0, "precision", "AMP" if amp else "float32")
            table.insert(0, "batch", name)
            tables.append(table)
    write_table(pd.concat(tables), output_dir, "step", "One training step", device)


if __name__ == "__main__":
    fire.Fire(main)
