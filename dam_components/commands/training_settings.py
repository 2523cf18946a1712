"""The options of ``dam train``: a second call goes on with those of the first, and says so where they differ."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dam_components.commands.planning import new_bundle
from dam_components.commands.training_stages import TrainingJob
from dam_components.handlers.checkpoints import NAME

__all__ = ["PLAN_OPTIONS", "SETTINGS", "check_plan", "check_settings", "job_settings", "refuse_plan_options"]

SETTINGS, PLAN_OPTIONS = "settings.json", "plan_options.json"  # in the folder of the training


def job_settings(job: TrainingJob, data: Path, kind: str) -> dict[str, Any]:
    """All that decides what the trainings are.

    Args:
        job: what is to be done.
        data: as given, a dataset or a bundle.
        kind: one, all or final: which folds.
    """
    return {
        "data": str(data),
        "overlays": [str(file) for file in job.overlays],
        "folds": kind,
        "entries": {name: value for name, value in job.entries().items() if name != "model_dir"},
    }


def check_settings(job: TrainingJob, settings: Mapping[str, Any]) -> None:
    """The options are those of the training that the folder has, if one has left anything.

    Raises:
        ValueError: they differ.
    """
    began = [file for file in (job.work / "done").glob("*.json") if file.stem != "plan"]
    if began or any(job.work.rglob(NAME.format("*"))):
        _refuse_others(job.work / SETTINGS, settings, f"{job.model} is of a training", "name another --output")


def check_plan(job: TrainingJob, options: Mapping[str, Any]) -> None:
    """The options are those that the folder's plan was made with.

    Raises:
        ValueError: they differ.
    """
    _refuse_others(
        job.work / PLAN_OPTIONS,
        options,
        f"{job.source} was planned",
        f"name another --output, or delete {job.work} to plan anew",
    )


def refuse_plan_options(bundle: Path, options: Mapping[str, Any]) -> None:
    """Of a bundle nothing is planned.

    Raises:
        ValueError: options of the plan were given.
    """
    defaults = inspect.signature(new_bundle).parameters
    if given := [f"--{name}" for name, value in options.items() if value != defaults[name].default]:
        raise ValueError(
            f"{', '.join(given)}: these plan the training on a dataset, and {bundle} is a bundle, which has its plan: "
            "leave them out, and change its entries with --overrides"
        )


def _refuse_others(file: Path, options: Mapping[str, Any], what: str, remedy: str) -> None:
    if not file.is_file():  # a plan of before 0.2.0
        return
    there, here = json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(options))
    if different := [
        f"{name} was {there.get(name)}, is {here[name]}" for name in here if there.get(name) != here[name]
    ]:
        raise ValueError(
            f"{what} with other options ({'; '.join(different)}): give the same ones to go on, or {remedy}"
        )
