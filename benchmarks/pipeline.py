"""How much of an epoch the training step waits for data, and how busy a GPU is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from typing import Any

import fire
import pandas as pd
import torch
from ignite.engine import Engine, Events

from benchmarks.bundle_parts import bundle_parts, hippocampus
from benchmarks.gpu_busy import GpuBusy
from benchmarks.tables import write_table

__all__ = ["Waiting", "main", "measure"]


class Waiting:
    """Seconds that an engine spends between its steps, fetching, and in all. Wall time: that is what waiting is."""

    def __init__(self, engine: Engine) -> None:
        self.fetching = self.total = 0.0
        self.asked = self.began = 0.0
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self.ask)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self.receive)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)

    def begin(self) -> None:
        self.began = time.perf_counter()

    def ask(self) -> None:
        self.asked = time.perf_counter()

    def receive(self) -> None:
        self.fetching += time.perf_counter() - self.asked

    def step(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.total += now - self.began
        self.began = now


def measure(workers: Sequence[int] = (0, 2), epochs: int = 2, **overrides: Any) -> pd.DataFrame:
    """One row a number of workers: a training by train.json, its first epoch left out (caches, kernels)."""
    rows = []
    for count in workers:
        with tempfile.TemporaryDirectory() as folder:
            paths = {"output_dir": folder, "ckpt_dir": folder}
            parser = bundle_parts(**{**paths, "train#handlers": [], "num_workers": count, **overrides})
            trainer = parser.get_parsed_content("train#trainer")
            trainer.state.max_epochs = 1
            trainer.run()
            waiting = Waiting(trainer)
            trainer.state.max_epochs = 1 + epochs
            with GpuBusy() as busy:
                trainer.run()
        rows.append(
            {
                "workers": count,
                "epochs": epochs,
                "iterations": trainer.state.iteration,
                "epoch_s": waiting.total / epochs,
                "waits_s": waiting.fetching / epochs,
                "share": waiting.fetching / max(waiting.total, 1e-9),
                "gpu_busy_percent": busy.percent,
            }
        )
    return pd.DataFrame(rows)


def main(
    output_dir: str = "docs/results/benchmarks",
    device: str = "cpu",
    threads: int = 1,
    epochs: int = 2,
    dataset_dir: str | None = None,
) -> None:
    """Writes pipeline.md and pipeline.csv; on the hippocampus set unless another is named."""
    torch.set_num_threads(threads)
    # augmentations run on the device, which a worker process cannot share
    workers = (0,) if device == "cuda" else (0, 1)
    table = measure(workers, epochs, device=f"$torch.device('{device}')", dataset_dir=dataset_dir or hippocampus())
    write_table(table, output_dir, "pipeline", "Share of the epoch in which the step waits for data", device)


if __name__ == "__main__":
    fire.Fire(main)
