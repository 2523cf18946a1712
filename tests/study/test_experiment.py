"""The experiment command from data to done.json: killed and resumed, finished and left alone, damaged and refused."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from filelock import FileLock
from snakemake.cli import main as snakemake

from dam_study.cli import main
from dam_study.commands.single_cell import experiment
from dam_study.experiments.planned_cell import plan_cell

EPOCHS = 4
FILES = {
    *("config.json", "setup.json", "metrics.csv", "curves.csv", "curves.png", "slices.npz", "difficulty.npz"),
    *("done.json", "models", "training", ".lock"),
}
module = sys.modules["dam_study.commands.single_cell"]  # the package exports the function under the same name


@pytest.fixture(scope="module")
def options(patients, tiny, tmp_path_factory):
    """Of the command, for one cell."""
    return {
        "system": "proposed",
        "task": "pelvic",
        "data": str(patients),
        "validation": 1,
        "epochs": EPOCHS,
        "overrides": json.dumps({**tiny, "warmup_epochs": 1}),
        "runs": str(tmp_path_factory.mktemp("runs")),
    }


def cell_folder(options):
    overrides = {**json.loads(options["overrides"]), "epochs": options["epochs"]}
    rest = {k: v for k, v in options.items() if k not in ("overrides", "epochs")}
    return plan_cell(**rest, overrides=overrides).folder


@pytest.fixture(scope="module")
def finished(options):
    """A cell that was killed after its first epoch and started again."""
    folder = cell_folder(options)
    command = [sys.executable, "-m", "dam_study", "experiment"]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not list(folder.glob("training/run/run_checkpoint_epoch=*.pt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    trainings = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    status = process.wait(60)
    _, alive = psutil.wait_procs(trainings, timeout=60)
    assert not (folder / "done.json").exists()
    before = pd.read_csv(folder / "training" / "curves.csv")

    experiment(**options)
    return SimpleNamespace(folder=folder, status=status, trainings=trainings, alive=alive, before=before)


def test_a_kill_ends_the_training_too(finished):
    assert finished.status == 128 + 15
    assert finished.trainings
    assert not finished.alive


def test_a_killed_cell_goes_on_where_it_was(finished):
    curves = pd.read_csv(finished.folder / "curves.csv")
    assert curves["epoch"].tolist() == [1, 2, 3, 4]
    assert 1 <= len(finished.before) <= EPOCHS
    # the first epoch was not repeated: it took the very same time
    pd.testing.assert_frame_equal(curves[:1], finished.before[:1])


def test_what_a_cell_holds(finished, options):
    folder = finished.folder
    assert {file.name for file in folder.iterdir()} == FILES | {"LICENSE", "configs", "docs"}  # a bundle too
    assert {file.name for file in (folder / "models").iterdir()} == {"model.pt", "model_confidence.pt"}
    assert not (folder / "training" / "run").exists()  # optimizers' states of a finished cell are no use
    config = json.loads((folder / "config.json").read_text())
    named = {"system": "proposed", "data": "pelvic", "protocol": "kfold", "fold": 0, "seed": 0}
    assert {name: config[name] for name in named} == named
    assert folder.name == f"fold0-seed0-{config['hash']}"
    assert config["entries"]["epochs"] == EPOCHS
    assert config["entries"]["beta"] == 2.0
    assert config["libraries"]["torch"] == torch.__version__
    assert torch.__version__ in config["machine"]
    assert config["command"].startswith("python -m dam_study experiment --system proposed --task pelvic")
    rows = pd.read_csv(folder / "metrics.csv")
    done = json.loads((folder / "done.json").read_text())
    whole = rows[rows["region"] == "whole"]
    assert done["mean_dice"] == pytest.approx(whole["dice"].mean())
    assert done["rows"] == len(rows) == 12
    seconds = pd.read_csv(folder / "curves.csv")["seconds"].sum()
    assert done["training_seconds"] == pytest.approx(seconds, abs=0.1)
    assert done["seconds"] > done["training_seconds"]
    with np.load(folder / "difficulty.npz") as frames:
        assert {f"epoch{k}/difficulty" for k in range(1, EPOCHS + 1)} < {*frames.files}


def test_the_test_cases_are_those_of_the_stored_fold(finished):
    folds = json.loads(next(finished.folder.parents[1].glob("folds-*.json")).read_text())
    assert sorted(pd.read_csv(finished.folder / "metrics.csv")["case"].unique()) == folds["splits"][0]["test"]


@pytest.fixture
def no_job(monkeypatch):
    """Jobs that would run, in place of running them."""
    jobs = []
    monkeypatch.setattr(module, "run_bundle", lambda configs, **options: jobs.append(([*configs], options)))
    return jobs


@pytest.fixture
def copied(finished, options, tmp_path):
    """The options of a copy of the finished cell, and its folder."""
    shutil.copytree(options["runs"], tmp_path / "runs")
    moved = {**options, "runs": str(tmp_path / "runs")}
    return moved, cell_folder(moved)


def contents(folder):
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_finished_cell_is_left_alone(copied, no_job, capsys):
    options, folder = copied
    before = contents(folder)
    experiment(**options)
    assert not no_job
    assert contents(folder) == before
    assert capsys.readouterr().out == f"finished before: {folder}\n"


def test_other_settings_are_another_cell(copied, no_job):
    options, folder = copied
    before = contents(folder)
    with pytest.raises(ValueError, match="the training stopped after 0 of 3 epochs: run the same command to go on"):
        experiment(**{**options, "epochs": 3})
    assert len(no_job) == 1
    assert contents(folder) == before


def test_a_cell_that_was_trained_is_evaluated_alone(copied, no_job):
    options, folder = copied
    done = json.loads((folder / "done.json").read_text())
    (folder / "done.json").unlink()
    experiment(**options)
    ((configs, overrides),) = no_job
    assert "evaluate.json" in [Path(file).name for file in configs]
    assert overrides == {"output_dir": folder}
    again = json.loads((folder / "done.json").read_text())
    assert {**again, "seconds": 0} == {**done, "seconds": 0}


def test_a_training_killed_before_it_left_its_networks_repeats_the_last_epoch(copied, no_job):
    options, folder = copied
    (folder / "done.json").unlink()
    (folder / "training" / "trained.json").unlink()
    (folder / "models" / "model.pt").unlink()
    (folder / "training" / "run").mkdir()
    for epoch in (EPOCHS - 1, EPOCHS):
        torch.save({}, folder / "training" / "run" / f"run_checkpoint_epoch={epoch}.pt")
    with pytest.raises(ValueError, match=f"stopped after {EPOCHS - 1} of {EPOCHS} epochs"):
        experiment(**options)
    ((_, overrides),) = no_job
    assert overrides == {"output_dir": folder / "training", "resume": True}


def test_a_system_that_is_not_trained(copied, monkeypatch, tmp_path):
    options, source = copied
    options = {**options, "system": "malf", "overrides": '{"spacing": [10.0, 10.0, 6.0]}'}
    jobs = []

    def evaluate(configs, output_dir):
        jobs.append(configs)
        for name in ("metrics.csv", "slices.npz"):
            shutil.copy(source / name, output_dir)

    monkeypatch.setattr(module, "run_bundle", evaluate)
    experiment(**options)
    experiment(**options)  # finished
    assert len(jobs) == 1
    (folder,) = (tmp_path / "runs" / "pelvic" / "malf").iterdir()
    done = json.loads((folder / "done.json").read_text())
    assert done["epochs"] == done["training_seconds"] == 0
    assert done["seconds"] >= 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("done.json", "{", r"done\.json is damaged .*delete .*done\.json and run the same command"),
        ("done.json", "{}", r"done\.json is damaged"),
        ("metrics.csv", "case,label,region,dice,asd_mm,hd95_mm,rvd_percent\na,b,wh", r"metrics\.csv is only half writ"),
        ("curves.csv", None, r"lacks curves\.csv; delete .*done\.json and run the same command"),
        ("models/model.pt", None, r"lacks models/model\.pt"),
    ],
)
def test_a_finished_cell_that_is_not_whole(name, content, message, copied, no_job):
    options, folder = copied
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        experiment(**options)
    assert not no_job


def test_a_csv_with_fewer_rows_than_were_written(copied, no_job):
    options, folder = copied
    lines = (folder / "metrics.csv").read_text().splitlines(keepends=True)
    (folder / "metrics.csv").write_text("".join(lines[:-4]))
    with pytest.raises(ValueError, match=r"metrics\.csv has 8 rows, done\.json says 12"):
        experiment(**options)


def test_a_cell_in_work_is_not_worked_on_twice(copied, no_job):
    options, folder = copied
    with FileLock(folder / ".lock"), pytest.raises(ValueError, match="is being worked on by another process"):
        experiment(**options)


def test_overrides_are_json(options):
    with pytest.raises(ValueError, match=r"overrides must be a JSON object such as '\{\"amp\": true\}', got 'amp=1'"):
        experiment(**{**options, "overrides": "amp=1"})


def test_the_command_line_hands_json_on(options, capsys):
    # Fire by itself would make a word of true
    words = ["experiment", *(f"--{name}={value}" for name, value in options.items() if name != "overrides")]
    with pytest.raises(ValueError, match="overrides name 'ample'"):
        main([*words, '--overrides={"ample": true}'])
    with pytest.raises(SystemExit):
        main([*words, '--overrides={"ample": tru}'])
    assert "--overrides must be a JSON object" in capsys.readouterr().err


def dry_run(grid, runs, folder, capfd):
    """What Snakemake would do for a grid, in a folder of its own."""
    return run_grid(grid, runs, folder, capfd, "--dry-run")


def run_grid(grid, runs, folder, capfd, *more):
    """What Snakemake prints."""
    (folder / "grid.json").write_text(json.dumps({"runs": str(runs), "grids": {"tiny": grid}}))
    words = ["--snakefile", Path(__file__).parents[2] / "experiments" / "Snakefile", "--cores", "1"]
    words += ["--printshellcmds", "--configfile", folder / "grid.json", "--config", "only=tiny", *more]
    with pytest.raises(SystemExit) as ended:
        snakemake([str(word) for word in words])
    text = "".join(capfd.readouterr())
    assert ended.value.code == 0, text
    return text


def tree(folder):
    """Files in a folder, but for Snakemake's own."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if ".snakemake" not in file.parts}


def test_a_dry_run_writes_nothing_and_knows_the_patients_that_it_would_make(options, tmp_path, monkeypatch, capfd):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    made = tmp_path / "made"
    grid = {"task": "pelvic", "data": str(made), "synthesize": {"cases": 10, "shape": [16, 16, 8]}}
    grid |= {"systems": ["unet"], "test_folds": [0], "seeds": [0], "overrides": json.loads(options["overrides"])}
    (tmp_path / "grid.json").touch()
    before = tree(tmp_path)
    text = dry_run(grid, tmp_path / "runs", tmp_path, capfd)
    assert tree(tmp_path) == before
    assert "--system unet --task pelvic" in text
    assert f"--data {made}" in text
    assert str(made / "dataset.json") in text  # it is made first
    planned = re.search(r"fold0-seed0-\w{8}", text)[0]

    run_grid(grid, tmp_path / "runs", tmp_path, capfd, "--until", "patients_made")
    index = json.loads((made / "dataset.json").read_text())
    assert len(index["training"]) == 10
    assert index["synthetic"]["shape"] == [16, 16, 8]
    text = dry_run(grid, tmp_path / "runs", tmp_path, capfd)
    assert planned in text  # the same names: the same cell
    assert "patients_made" not in text
    grid["synthesize"]["cases"] = 12
    with pytest.raises(AssertionError, match="has 10 cases, the grid 12: name another folder"):
        dry_run(grid, tmp_path / "runs", tmp_path, capfd)


def test_the_grid_lists_what_is_missing_and_only_that(finished, options, tmp_path, monkeypatch, capfd):
    grid = {
        "task": "pelvic",
        "data": options["data"],
        "systems": ["proposed", "unet"],
        "test_folds": [0],
        "seeds": [0],
        "epochs": EPOCHS,
        "validation": 1,
        "overrides": json.loads(options["overrides"]),
    }
    monkeypatch.chdir(tmp_path)  # its own files
    text = dry_run(grid, options["runs"], tmp_path, capfd)
    assert "-m dam_study experiment --system unet --task pelvic" in text
    assert "--system proposed" not in text  # done.json of the finished cell is where the grid looks for it
