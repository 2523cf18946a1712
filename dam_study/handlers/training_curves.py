"""The course of a training: one row an epoch."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from torch.optim import Optimizer

from dam_components.metrics import write_cases_csv

__all__ = ["TrainingCurves"]

# in the trainer's output, and as a column
LOSSES = {
    CommonKeys.LOSS: "train_loss",
    "segmentation_loss": "segmentation_loss",
    "confidence_loss": "confidence_loss",
    "adversarial_loss": "adversarial_loss",
}
VALIDATED = "val_mean_dice"


class TrainingCurves:
    """Handler for a trainer: ``curves.csv`` with a row an epoch.

    Columns: ``epoch``; means over the epoch's iterations ``train_loss``, ``segmentation_loss``, ``confidence_loss``,
    ``adversarial_loss``; ``val_mean_dice``, the evaluator's metric of that name, empty where no validation ran;
    ``learning_rate`` in the epoch; ``seconds`` from its start to its end, validation included. The CSV is whole after
    every epoch. A resumed training keeps the rows of the epochs before; one that starts anew keeps none.

    Attach it behind the validation and before the handler that saves the run.

    Args:
        folder: where to.
        evaluator: the one that validates.
        optimizer: S's.
    """

    def __init__(self, folder: str | os.PathLike, evaluator: Engine, optimizer: Optimizer) -> None:
        self.csv = Path(folder) / "curves.csv"
        self.evaluator = evaluator
        self.optimizer = optimizer
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the trainer."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.EPOCH_STARTED, self.epoch_started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.count)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)

    def started(self, engine: Engine) -> None:
        """Reads the rows of a run that is resumed."""
        before = pd.read_csv(self.csv).to_dict("records") if self.csv.is_file() else []
        self.rows = [{str(k): v for k, v in row.items()} for row in before if row["epoch"] <= engine.state.epoch]

    def epoch_started(self, engine: Engine) -> None:
        """Starts the clock and the sums."""
        self.begin = time.perf_counter()
        self.sums = dict.fromkeys(LOSSES.values(), 0.0)
        self.iterations = 0
        self.rate = self.optimizer.param_groups[0]["lr"]  # a scheduler's step comes before epoch_completed

    def count(self, engine: Engine) -> None:
        """Adds the losses of an iteration."""
        output: Any = engine.state.output
        for key, column in LOSSES.items():
            self.sums[column] += float(output[0][key])
        self.iterations += 1

    def epoch_completed(self, engine: Engine) -> None:
        """Writes the epoch's row."""
        epoch = engine.state.epoch
        validated = self.evaluator.state.epoch == epoch and VALIDATED in self.evaluator.state.metrics
        self.rows.append(
            {
                "epoch": epoch,
                **{column: total / self.iterations for column, total in self.sums.items()},
                VALIDATED: float(self.evaluator.state.metrics[VALIDATED]) if validated else math.nan,
                "learning_rate": float(self.rate),
                "seconds": round(time.perf_counter() - self.begin, 3),
            }
        )
        write_cases_csv(self.csv, self.rows)
