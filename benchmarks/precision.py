"""What ``amp`` costs or saves on a CPU: on this one, and on one without bfloat16, as oneDNN can pretend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from monai.inferers import SlidingWindowInferer

from benchmarks.pairing import interleave, time_rows
from benchmarks.tables import write_table
from benchmarks.training_steps import Problem, confidence
from dam_components.engines import AutocastInferer
from dam_components.front import run_command

__all__ = ["main", "measure"]

PROBLEM = Problem(patch=(40, 56, 40), batch=2, strides=(2, 2, 2))
MACHINES = {"this CPU": {}, "AVX2, no bfloat16": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}
OPTIONS: dict[str, Any] = {"False": False, "auto": "auto", "True": True}


def measure(problem: Problem = PROBLEM, rounds: int = 6, forced: bool = False) -> list[dict[str, Any]]:
    """One row for training and inference with each value of ``amp``, and their ratios to float32.

    Args:
        problem: networks and batch.
        rounds: paired rounds.
        forced: also run in bfloat16 whatever the CPU says, as ``amp=True`` did before.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        steps = {name: training(replace(problem, amp=amp)) for name, amp in OPTIONS.items()}
        runs = {name: inference(problem, amp) for name, amp in OPTIONS.items()}
        times = [
            ("training step, S and D", interleave(steps, rounds, problem.device)),
            ("inference, S", interleave(runs, rounds, problem.device)),
        ]
        if forced:  # once: without the instructions it takes a minute
            both = {"False": steps["False"], "bfloat16 by force": training(problem, forced=True)}
            times.append(("training step, once", interleave(both, 1, problem.device, warmup=0)))
        rows = [{"what": what, **row} for what, seconds in times for row in time_rows(seconds, problem.device)]
    told = [str(warning.message) for warning in caught if str(warning.message).startswith("amp")]
    return [{**row, "warnings": len(told)} for row in rows]


def training(problem: Problem, forced: bool = False) -> Callable[[], object]:
    """Iterations of ConfidenceTrainer on one batch."""
    trainer = confidence(problem)
    trainer.amp = trainer.amp or forced
    trainer.state.epoch = 1
    batch = problem.data()
    return lambda: trainer._iteration(trainer, batch)


def inference(problem: Problem, amp: bool | str) -> Callable[[], object]:
    """S over a volume of two windows."""
    S, _ = problem.networks()
    S.eval()
    infer = AutocastInferer(SlidingWindowInferer(problem.patch, sw_batch_size=2, overlap=0), amp)
    volume = torch.randn(1, 1, 2 * problem.patch[0], *problem.patch[1:])

    @torch.no_grad()
    def run() -> object:
        return infer(volume, S)

    return run


def main(output_dir: str = "docs/results/benchmarks", threads: int = 1, rounds: int = 6, forced: bool = False) -> None:
    """Writes precision.md and precision.csv: amp True, False and auto, paired, on this CPU and as one without bfloat16.

    Args:
        output_dir: where the table goes.
        threads: of the CPU.
        rounds: paired rounds of each timing.
        forced: also one training step in bfloat16 whatever the CPU says; without the instructions it takes a minute.
    """
    tables = []
    for name, environment in MACHINES.items():
        script = f"import json, torch; torch.set_num_threads({threads})\n"
        script += (
            f"from benchmarks.precision import measure; print(json.dumps(measure(rounds={rounds}, forced={forced})))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **environment},
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
        table = pd.DataFrame(json.loads(done.stdout.splitlines()[-1]))
        table.insert(0, "CPU", name)
        tables.append(table.rename(columns={"variant": "amp"}))
    torch.set_num_threads(threads)
    write_table(pd.concat(tables), output_dir, "precision", "Mixed precision on a CPU")


if __name__ == "__main__":
    run_command("benchmarks.precision:main", "python -m benchmarks.precision")
