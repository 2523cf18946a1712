"""The ``train`` command: from labelled images to a finished model, in stages that go on after a kill."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dam_components.atomic_files import write_whole
from dam_components.commands.bundle_jobs import run_command, shell_line
from dam_components.commands.planning import new_bundle
from dam_components.commands.results_page import write_results
from dam_components.commands.training_clock import TrainingClock
from dam_components.commands.training_folds import fold_stages
from dam_components.commands.training_settings import (
    PLAN_OPTIONS,
    SETTINGS,
    check_plan,
    check_settings,
    job_settings,
    refuse_plan_options,
)
from dam_components.commands.training_stages import Stage, TrainingJob, list_test_images, stages_of
from dam_components.confidence.trained_bundle import comma_words, plain_values
from dam_components.folder_lock import hold_folders
from dam_components.planning.config_text import config_text

__all__ = ["train"]


def train(
    data: str,
    output: str,
    folds: int | str | None = None,
    final: bool = False,
    epochs: int | None = None,
    seed: int = 0,
    overlay: str | Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    images: str | None = None,
    labels: str | None = None,
    modality: str | Sequence[str] | None = None,
    label_names: Mapping[int, str] | None = None,
    label_values: str | None = None,
    patch_voxels: int | None = None,
    cache_gb: float = 8.0,
    bundle: str | None = None,
    stage: str | None = None,
    dry_run: bool = False,
) -> None:
    """Trains a complete model: plan, S, cross-fitted S, D, calibration, evaluation, and a page of results.

    What is done is skipped, so after a kill or Ctrl-C the same command goes on. It prints the command of each stage;
    a person can run each alone. The output is a bundle that needs nothing else; its folder ``training`` has what was
    of use on the way, and may be deleted.

    Args:
        data: a labelled dataset as new_bundle reads it, or a bundle (a folder with configs/train.json).
        output: the model's folder.
        folds: one fold, whose cases are kept for the test, by default the configuration's; or all: S of every fold, one
            D on what they do on their test cases, and the average of their segmentations.
        final: with all folds: in place of their average one S that learned from every case, for as many epochs as were
            best in the folds.
        epochs: of every training, to try things out; by default the plan's.
        seed: of every training.
        overlay: with a bundle: configuration files on top of its train.json, separated by commas.
        overrides: other entries of the configuration by name: '{"channels": [8, 16, 32, 64]}'.
        images: folder of the images, from data, where there is no dataset.json.
        labels: folder of their labels, likewise.
        modality: CT, MR, ..., or a name for each channel, T1,T2,FLAIR; by default what dataset.json says.
        label_names: '{1: "liver", 2: "tumour"}'; by default what dataset.json says.
        label_values: the values of each class in the label files, as new_bundle takes them.
        patch_voxels: most voxels of a training patch; by default 65536, and on a GPU what fits, up to 2000000.
        cache_gb: memory for prepared cases.
        bundle: the bundle whose configurations a plan takes; by default the project's.
        stage: run this one alone, by its name: plan, page, or one that --dry_run lists.
        dry_run: print the stages and their commands, and run none.

    Raises:
        FileNotFoundError: there is no such dataset.
        OSError: another process trains into the output, or it cannot be written to.
        ValueError: the data have errors, or the output is of a plan or a training with other options; options of a plan
            were given with a bundle.
        SystemExit: with the status of a stage that failed.
    """
    model, given = Path(str(output)).absolute(), Path(str(data)).absolute()
    is_bundle = (given / "configs" / "train.json").is_file()
    options = {
        "images": images,
        "labels": labels,
        "modality": modality,
        "label_names": label_names,
        "label_values": label_values,
        "patch_voxels": patch_voxels,
        "cache_gb": cache_gb,
        "bundle": bundle,
    }
    every = folds == "all" or final
    if isinstance(folds, str) and not every:
        raise ValueError(f"folds must be the number of a fold, or all, got {folds}")
    if final and folds not in (None, "all"):
        raise ValueError(f"--final trains every fold: leave --folds {folds} out, or say --folds all")
    if stage is None:
        hold_folders(model / "training")
    overlays = tuple(Path(word).absolute() for word in comma_words(overlay))
    source = given if is_bundle else model / "training" / "plan"
    fold, kind = None if every else folds, "final" if final else "all" if every else "one"
    job = TrainingJob(model, source, overlays, fold, epochs, seed, plain_values(dict(overrides or {})))  # type: ignore[arg-type]
    if is_bundle:
        refuse_plan_options(given, options)
    else:
        _plan(job, str(data), options)
    settings = job_settings(job, given, kind)
    check_settings(job, settings)
    if stage == "plan":
        write_whole(job.work / "done" / "plan.json", config_text({"source": str(source)}))
        return
    stages = [*fold_stages(job, final)] if every else stages_of(job)
    if stage not in (None, "page", *(known.name for known in stages)):
        raise ValueError(f"stage must be plan, {', '.join(known.name for known in stages)} or page, got {stage}")
    if dry_run:
        print(
            "\n".join(
                [
                    TrainingClock(stages).table(),
                    *(f"$ {shell_line(known.command())}" for known in stages if known.words),
                ]
            )
        )
        return
    write_whole(job.work / SETTINGS, config_text(settings))
    if not every:
        list_test_images(job)
    failed = _run_stages(job, [known for known in stages if stage in (None, known.name)], alone=stage is not None)
    if stage in (None, "page"):
        print(f"results: {write_results(model, job.work, failed)}")


def _plan(job: TrainingJob, data: str, options: Mapping[str, Any]) -> None:
    """The bundle that the trainings start from, unless it is there.

    Raises:
        ValueError: it is there, made with other options.
    """
    if (job.source / "configs" / "train.json").is_file():
        check_plan(job, options)
        return
    for rest in job.work.glob(".partial-*"):  # of a plan that was killed
        shutil.rmtree(rest)
    write_whole(job.work / PLAN_OPTIONS, config_text(options))
    new_bundle(data, str(job.source), **options)


def _run_stages(job: TrainingJob, stages: Sequence[Stage], alone: bool) -> dict[str, str]:
    """Runs what is not done yet; gives the optional stages that failed, with what to do."""
    done = [stage.name for stage in stages if _is_done(job, stage)]
    clock, failed = TrainingClock(stages, done), {}
    if not alone:
        print(clock.table(), flush=True)
    for stage in stages:
        if stage.name in done:
            continue
        try:
            with clock.running(stage) as time_left:
                if stage.before is not None:
                    stage.before()
                if stage.words:
                    run_command(stage.command(), time_left)
        except SystemExit as error:
            if alone or not stage.optional or error.code in (130, 143):
                raise
            failed[stage.name] = (
                f"{stage.name} failed; its message is above. Run it alone: dam train ... --stage {stage.name}"
            )
            continue
        write_whole(_marker(job, stage), config_text({"command": shell_line(stage.command())}))
    return failed


def _is_done(job: TrainingJob, stage: Stage) -> bool:
    return _marker(job, stage).is_file() and all(file.is_file() for file in stage.makes)


def _marker(job: TrainingJob, stage: Stage) -> Path:
    return job.work / "done" / f"{stage.name}.json"
