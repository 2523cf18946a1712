"""The ``experiment`` command: one cell of the paper's tables, from the data to its numbers and figures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch
from filelock import FileLock, Timeout

from dam_components.atomic_files import write_whole
from dam_components.commands.bundle_jobs import run_bundle, shell_line
from dam_components.figures import save_figure
from dam_components.handlers import newest_checkpoint
from dam_components.handlers.checkpoints import epoch_of
from dam_study.confidence.study_facts import describe_machine
from dam_study.experiments.finished_cell import FinishedCell, read_metrics
from dam_study.experiments.planned_cell import PlannedCell, plan_cell
from dam_study.report.training_curves import draw_training_curves

__all__ = ["experiment"]

LIBRARIES = ("dam-components", "torch", "monai", "pytorch-ignite", "numpy", "scipy")
FILES = ("metrics.csv", "slices.npz")
TRAINED = ("curves.csv", "curves.png", "models/model.pt", "models/model_confidence.pt")


def experiment(
    system: str,
    task: str,
    data: str | None = None,
    fold: int = 0,
    seed: int = 0,
    protocol: str = "kfold",
    folds: int | None = None,
    validation: float | int | None = None,
    epochs: int | None = None,
    overrides: str | Mapping[str, Any] | None = None,
    runs: str | None = None,
    bundle: str | None = None,
) -> None:
    """Trains a system on one fold of a dataset, evaluates it on the fold's test cases, and keeps what a report needs.

    The results go to RUNS/<task>/<system>/fold<f>-seed<s>-<hash>, the hash being that of all settings. Run again after
    a kill, it goes on from the last whole epoch; a finished cell (one with done.json) is left as it is.

    Args:
        system: a file of bundle/configs/experiments, without .json.
        task: a file of bundle/configs/tasks, without .json.
        data: the dataset; by default the task's.
        fold: which, from 0.
        seed: of the training. The folds have their own, the task's.
        protocol: kfold (the task's own folds), two-fold, or leave-one-out.
        folds: how many, in place of the protocol's.
        validation: how many cases of a fold validate, or which share; by default the task's.
        epochs: in place of the task's; a system that is not trained (0 epochs) stays untrained.
        overrides: other entries of the configuration, as JSON: '{"amp": true}'.
        runs: folder of all results; by default output/runs in the bundle.
        bundle: a copy of the project's bundle folder; by default the one beside the package.
    """
    asked = {key: value for key, value in locals().items() if value is not None}
    entries = _read_overrides(overrides) | ({} if epochs is None else {"epochs": epochs})
    cell = plan_cell(system, task, data, fold, seed, protocol, folds, validation, entries, runs=runs, bundle=bundle)
    cell.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(cell.folder / ".lock", timeout=0), children_end_too():
            if finished(cell):
                print(f"finished before: {cell.folder}")
                return
            cell.store_folds()
            _run(cell, shell_line(["python", "-m", "dam_study", "experiment", *_words(asked)]))
    except Timeout:
        raise ValueError(f"{cell.folder} is being worked on by another process: wait for it, or end it") from None


@contextmanager
def children_end_too() -> Iterator[None]:
    """Within, SIGTERM also ends the processes that this one has started: a training left behind would go on writing."""

    def end(signum: int, frame: Any) -> None:
        for child in psutil.Process().children(recursive=True):
            child.send_signal(signum)
        raise SystemExit(128 + signum)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def finished(cell: PlannedCell) -> bool:
    """Whether a cell is complete.

    Raises:
        ValueError: if it says so, and its files are not whole.
    """
    folder = cell.folder
    file = folder / "done.json"
    if not file.is_file():
        return False
    remedy = f"delete {file} and run the same command: it repeats what is missing"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        rows, names = content["rows"], FILES + (TRAINED if content["epochs"] else ())
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error!r}); {remedy}") from None
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ValueError(f"the finished cell {folder} lacks {', '.join(missing)}; {remedy}")
    _metrics(cell, {"rows": rows})
    return True


def _metrics(cell: PlannedCell, done: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """metrics.csv, as a report reads it."""
    named = {name: cell.settings[name] for name in ("data", "system", "fold", "seed", "hash")}
    return read_metrics(FinishedCell(cell.folder, **named, done=dict(done or {})))


def _run(cell: PlannedCell, command: str) -> None:
    """Training, evaluation and the files about them; what an earlier run has done is taken over."""
    folder, training = cell.folder, cell.folder / "training"
    default = "cuda:0" if torch.cuda.is_available() else "cpu"  # as in the bundle
    facts = {
        **cell.settings,
        "libraries": {name: version(name) for name in LIBRARIES},
        "machine": describe_machine(torch.device(cell.setup.get("device") or default)),
        "command": command,
    }
    _write_json(folder / "config.json", facts)
    _write_json(folder / "setup.json", cell.setup)

    epochs = int(cell.settings["entries"]["epochs"])  # 0: a system that is no network, as malf and ssae
    if epochs and not (training / "trained.json").is_file():
        _train(cell, training, epochs)
        _write_json(training / "trained.json", {"epochs": epochs})
    for name in ("curves.csv", "difficulty.npz"):
        if (training / name).is_file():
            os.replace(training / name, folder / name)
    curves = pd.read_csv(folder / "curves.csv") if epochs else pd.DataFrame({"seconds": []})
    if epochs:
        save_figure(draw_training_curves(curves), folder / "curves.png")

    begin = time.perf_counter()
    run_bundle([*cell.evaluate, folder / "setup.json"], output_dir=folder)
    evaluation = time.perf_counter() - begin
    rows = _metrics(cell)
    mean_dice = float(rows[rows["region"] == "whole"].groupby("label")["dice"].mean().mean())
    shutil.rmtree(training / "run", ignore_errors=True)  # a finished cell is never resumed
    trained = float(curves["seconds"].sum())
    content = {
        "mean_dice": mean_dice,
        "seconds": round(trained + evaluation, 1),
        "training_seconds": round(trained, 1),
        "epochs": epochs,
        "rows": len(rows),
    }
    _write_json(folder / "done.json", content)
    print(f"\n{folder}\nmean Dice {mean_dice:.4f}")


def _train(cell: PlannedCell, training: Path, epochs: int) -> None:
    """The training, or what is missing of it."""
    done = _epochs_done(training)
    if done == epochs and not (cell.folder / "models" / "model.pt").is_file():
        newest_checkpoint(training / "run").unlink()  # killed before its last handler, which leaves the networks
        done = _epochs_done(training)
    if done < epochs:
        resume = {"resume": True} if done else {}
        run_bundle([*cell.train, cell.folder / "setup.json"], output_dir=training, **resume)
        done = _epochs_done(training)
    if done < epochs:
        raise ValueError(f"the training stopped after {done} of {epochs} epochs: run the same command to go on")


def _epochs_done(training: Path) -> int:
    try:
        return epoch_of(newest_checkpoint(training / "run"))
    except FileNotFoundError:
        return 0


def _read_overrides(overrides: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(overrides, Mapping) or overrides is None:
        return dict(overrides or {})
    try:
        return dict(json.loads(overrides))
    except (ValueError, TypeError):
        raise ValueError(f"overrides must be a JSON object such as '{{\"amp\": true}}', got {overrides!r}") from None


def _words(asked: Mapping[str, Any]) -> list[str]:
    texts = {name: json.dumps(value) if isinstance(value, Mapping) else str(value) for name, value in asked.items()}
    return [word for name, text in texts.items() for word in (f"--{name}", text)]


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    write_whole(file, json.dumps(content, indent=1) + "\n")
