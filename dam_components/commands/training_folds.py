"""Stages of ``dam train --folds all`` and ``--final``: S of each fold, and D on what they do on their test cases."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dam_components.atomic_files import copy_whole, write_whole
from dam_components.commands.bundle_jobs import bundle_words
from dam_components.commands.training_stages import Amount, Stage, TrainingJob
from dam_components.data import HARD_KINDS
from dam_components.metrics.case_table import read_cases_csv
from dam_components.planning.config_text import config_text
from dam_components.planning.model_folder import add_results

__all__ = ["fold_stages"]

OUT_OF_FOLD = "$data.out_of_fold_cases(@dataset_dir, folds_file=@folds_file, **@folds)"
EVERY_CASE = "$data.decathlon_split(@dataset_dir, 'all')"


def fold_stages(job: TrainingJob, final: bool) -> Iterator[Stage]:
    """The stages after the plan.

    Args:
        job: what is to be done; its fold is of no matter.
        final: leave one S, trained on every case, in place of the folds' average.

    Raises:
        ValueError: there is one fold.
    """
    amount, models = Amount(job), job.model / "models"
    if amount.folds < 2:
        raise ValueError(f"{job.source} has one fold, which trains on every case: leave --folds and --final out")
    train = [job.source / "configs" / "train.json", *job.overlays]
    folders = [job.work / "folds" / f"fold{fold}" for fold in range(amount.folds)]
    for fold, folder in enumerate(folders):
        places = {"model_dir": folder, "output_dir": job.work / "S" / f"fold{fold}", "folds#fold": fold}
        yield Stage(
            f"S{fold}",
            f"S and a first D of fold {fold}",
            bundle_words(train, {**job.entries(), **places}),
            (folder / "models" / "model.pt", folder / "docs" / "training.json"),
            job.work / "S" / f"fold{fold}" / "run",
            amount.epochs,
            amount.joint,
        )
        own = folder / "configs"
        yield Stage(
            f"evaluation{fold}",
            f"Dice and distances on the test cases of fold {fold}",
            bundle_words(
                [own / "train.json", own / "evaluate.json"], {"output_dir": job.work / "evaluation" / f"fold{fold}"}
            ),
            (job.work / "evaluation" / f"fold{fold}" / "metrics.csv",),
            work=5 * amount.test,
        )
    weights = [models / f"fold{fold}" / "model.pt" for fold in range(amount.folds)]
    if final:
        yield Stage(
            "S",
            "S on every case, for as many epochs as were best in the folds",
            bundle_words(
                [*train, job.work / "final.json"], {**job.entries(), "output_dir": job.work / "S" / "every_case"}
            ),
            (models / "model.pt", job.model / "configs" / "inference.json"),
            job.work / "S" / "every_case" / "run",
            work=amount.joint,
            before=lambda: _write_final(job, folders),
        )
    yield Stage(
        "folds",
        "the folds' networks and results into the model's folder",
        (),
        (*weights, job.work / "evaluation" / "metrics.csv"),
        before=lambda: _gather(job, folders, ensemble=not final),
    )
    own = job.model / "configs"
    entries = {"part_weights": [str(file) for file in weights], "train#dataset#data": OUT_OF_FOLD}
    entries |= {} if final else {"weights": [str(file) for file in weights]}
    yield Stage(
        "D",
        "D, on what the folds' S do on cases that they did not learn from",
        bundle_words(
            [own / "train.json", own / "train_confidence.json", own / "crossfit_confidence.json"],
            {**job.all_stages(), "output_dir": job.work / "D", **entries},
        ),
        (models / "model_confidence.pt",),
        job.work / "D" / "confidence" / "run",
        amount.confidence_epochs,
        amount.confidence,
    )
    yield Stage(
        "calibration",
        "what predicted Dice is worth, on the test cases of every fold by its S",
        (
            *("-m", "dam_components", "calibrate", "--bundle", str(job.model), "--seed", str(job.seed)),
            *("--section", "test", "--fold", ",".join(map(str, range(amount.folds)))),
            *("--weights", str(models / "fold{fold}" / "model.pt"), "--overrides", '{"other_S": true}'),
        ),
        (models / "calibration.json",),
        work=5 * (1 + len(HARD_KINDS)) * len(amount.cases),
        optional=True,
    )


def _write_final(job: TrainingJob, folders: list[Path]) -> None:
    """The overlay that trains on every case without validation."""
    best = []
    for folder in folders:
        training = json.loads((folder / "docs" / "training.json").read_text(encoding="utf-8"))
        validated = training.get("validation") or {}
        best.append(int(validated.get("epoch") or training["epochs"]))
    content: dict[str, Any] = {
        "_desc_": f"dam train --final: every case trains, for the median of the folds' best epochs, {best}",
        "epochs": int(statistics.median(best)),
        "keep_last": True,
        "train#dataset#data": EVERY_CASE,
        "validate#dataset#data": [],
    }
    write_whole(job.work / "final.json", config_text(content))


def _gather(job: TrainingJob, folders: list[Path], ensemble: bool) -> None:
    if ensemble:  # the first fold's folder is the pattern
        for file in sorted(folders[0].rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                copy_whole(file, job.model / file.relative_to(folders[0]))
        files = f"$[@bundle_root + '/models/fold%d/model.pt' % fold for fold in range({len(folders)})]"
        config = job.model / "configs" / "inference.json"
        content = json.loads(config.read_text(encoding="utf-8"))
        write_whole(config, config_text({**content, "weights": files}))
    else:
        names = [case["case"] for case in Amount(job).cases]
        write_whole(job.model / "docs" / "cases.json", config_text({"train": names, "validation": [], "test": []}))
    for fold, folder in enumerate(folders):
        copy_whole(folder / "models" / "model.pt", job.model / "models" / f"fold{fold}" / "model.pt")
    tables = [read_cases_csv(job.work / "evaluation" / folder.name / "metrics.csv") for folder in folders]
    metrics = job.work / "evaluation" / "metrics.csv"
    write_whole(metrics, pd.concat(tables).to_csv(index=False, lineterminator="\n"))
    add_results(job.model, metrics)
