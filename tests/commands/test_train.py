"""Stages of `dam train`: planned from data, skipped when done, gone on with after a kill. None is run here."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from monai.bundle import ConfigParser

from dam_components.commands import results_page, training, training_folds
from dam_components.commands.training import train
from dam_components.commands.training_folds import fold_stages
from dam_components.commands.training_stages import TrainingJob, stages_of
from dam_components.data import decathlon_split, out_of_fold_cases, write_folds
from dam_components.folder_lock import release_folders
from dam_components.metrics.case_table import read_cases_csv
from dam_components.synthetic import write_pelvic_dataset

STAGES = ["S", "part0", "part1", "part2", "D", "calibration", "evaluation", "test_cases"]


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    return write_pelvic_dataset(tmp_path_factory.mktemp("data") / "patients", cases=12, shape=(32, 32, 16))


@pytest.fixture(autouse=True)
def folders_given_back():
    yield
    release_folders()


@pytest.fixture
def commands(monkeypatch):
    """The commands that are run, in place of running them; each makes its files unless it is told to fail."""
    run, fails = [], {}

    def fake(words, remark=""):
        names = {stage.name: stage for stage in known}
        (name,) = [name for name, stage in names.items() if stage.words == tuple(words[1 : 1 + len(stage.words)])]
        run.append((name, [str(word) for word in words]))
        if name in fails:
            raise SystemExit(fails[name])
        for file in names[name].makes:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.name == "metrics.csv":
                rows = [{"case": "a", "label": "bladder", "region": "whole", "dice": 0.5}]
                pd.DataFrame(rows).to_csv(file, index=False)
            elif file.name == "summary.csv":
                row = {"case": "a", "review": True, "predicted_mean_dice": 0.4, "calibrated": False}
                pd.DataFrame([row]).to_csv(file, index=False)
            elif not file.is_file():
                file.write_text("{}")

    known = []

    def remember(job):
        known[:] = stages_of(job)
        return list(known)

    monkeypatch.setattr(training, "run_command", fake)
    monkeypatch.setattr(training, "stages_of", remember)
    monkeypatch.setattr(training, "write_results", lambda model, work, failed: (model / "index.html", failed))
    return run, fails


def names(run):
    return [name for name, _ in run]


def test_every_stage_runs_once_and_a_second_call_has_nothing_to_do(patients, tmp_path, commands, capsys):
    run, _ = commands
    train(str(patients), str(tmp_path / "M"), epochs=2)
    assert names(run) == STAGES
    shown = capsys.readouterr().out
    shares = [int(share) for share in re.findall(r"^  \S+ +(\d+) %", shown, re.MULTILINE)]
    assert len(shares) == len(STAGES)
    assert 95 <= sum(shares) <= 105
    train(str(patients), str(tmp_path / "M"), epochs=2)
    assert names(run) == STAGES
    assert capsys.readouterr().out.count("(done)") == len(STAGES)


def test_a_stage_that_fails_ends_it_and_the_same_command_goes_on(patients, tmp_path, commands):
    run, fails = commands
    fails["part1"] = 1
    with pytest.raises(SystemExit) as ended:
        train(str(patients), str(tmp_path / "M"))
    assert ended.value.code == 1
    assert names(run) == STAGES[:3]
    fails.clear()
    train(str(patients), str(tmp_path / "M"))
    assert names(run)[3:] == STAGES[2:]


def test_what_has_checkpoints_goes_on_from_them(patients, tmp_path, commands):
    run, fails = commands
    fails["S"] = 130
    with pytest.raises(SystemExit):
        train(str(patients), str(tmp_path / "M"))
    folder = tmp_path / "M" / "training" / "S" / "run"
    folder.mkdir(parents=True)
    torch.save({"trainer": {}}, folder / "run_checkpoint_epoch=1.pt")
    fails.clear()
    train(str(patients), str(tmp_path / "M"))
    assert "--resume" not in run[0][1]
    assert run[1][1][-2:] == ["--resume", "True"]
    assert all("--resume" not in words for _, words in run[2:])


def test_a_result_that_is_gone_is_made_again(patients, tmp_path, commands):
    run, _ = commands
    train(str(patients), str(tmp_path / "M"))
    (tmp_path / "M" / "training" / "parts" / "part1" / "model.pt").unlink()
    train(str(patients), str(tmp_path / "M"))
    assert names(run)[len(STAGES) :] == ["part1"]


def test_a_calibration_that_cannot_be_does_not_end_it(patients, tmp_path, commands, capsys):
    run, fails = commands
    fails["calibration"] = 1
    train(str(patients), str(tmp_path / "M"))
    assert names(run) == STAGES
    assert "calibration failed; its message is above" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        train(str(patients), str(tmp_path / "M"), stage="calibration")


def test_other_options_are_refused(patients, tmp_path, commands):
    train(str(patients), str(tmp_path / "M"), epochs=2)
    with pytest.raises(
        ValueError, match=r"M is of a training with other options \(entries was .*'epochs': 2.*: give the"
    ):
        train(str(patients), str(tmp_path / "M"), epochs=3)


def test_options_are_free_until_a_training_has_left_something(patients, tmp_path, commands, monkeypatch):
    run, fails = commands
    model, fails["S"] = str(tmp_path / "M"), 1
    for wrong in ({"folds": 7}, {"stage": "D2"}):
        with pytest.raises(ValueError, match="fold must be|stage must be"):
            train(str(patients), model, **wrong)
    train(str(patients), model, epochs=5, dry_run=True)
    for options in ({"epochs": 2}, {"overrides": {"bta": 2}}):
        with pytest.raises(SystemExit):
            train(str(patients), model, **options)
    (tmp_path / "M" / "training" / "S" / "run").mkdir(parents=True)
    torch.save({}, tmp_path / "M" / "training" / "S" / "run" / "run_checkpoint_epoch=1.pt")
    with pytest.raises(ValueError, match="M is of a training with other options"):
        train(str(patients), model, epochs=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modality": "CT"}, "modality was None, is CT"),
        ({"label_names": {1: "b", 2: "p", 3: "r"}}, "label_names was None, is"),
        ({"patch_voxels": 8192}, "patch_voxels was None, is 8192"),
    ],
)
def test_other_options_of_the_plan_are_refused_and_the_same_are_not(patients, tmp_path, commands, options, words):
    train(str(patients), str(tmp_path / "M"), dry_run=True)
    with pytest.raises(ValueError, match=rf"plan was planned with other options \({words}.*or delete .*training to"):
        train(str(patients), str(tmp_path / "M"), dry_run=True, **options)
    train(str(patients), str(tmp_path / "N"), dry_run=True, **options)
    train(str(patients), str(tmp_path / "N"), dry_run=True, **options)


def test_options_of_a_plan_are_refused_with_a_bundle(patients, tmp_path, commands):
    train(str(patients), str(tmp_path / "M"), stage="plan")
    with pytest.raises(ValueError, match=r"^--modality, --cache_gb: these plan .* is a bundle, .* with --overrides$"):
        train(str(tmp_path / "M" / "training" / "plan"), str(tmp_path / "N"), modality="CT", cache_gb=2.0)


def test_stages_can_be_run_one_by_one(patients, tmp_path, commands):
    run, _ = commands
    for stage in ["plan", *STAGES, "page"]:
        train(str(patients), str(tmp_path / "M"), stage=stage)
    assert names(run) == STAGES
    with pytest.raises(ValueError, match="stage must be plan, S, part0.* or page, got D2"):
        train(str(patients), str(tmp_path / "M"), stage="D2")


def test_the_plan_is_a_bundle_of_its_own_and_each_stage_names_its_places(patients, tmp_path, capsys):
    train(str(patients), str(tmp_path / "M"), dry_run=True, epochs=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("$ ")]
    assert len(lines) == len(STAGES)
    plan, model = tmp_path / "M" / "training" / "plan", tmp_path / "M"
    assert f"{plan}/configs/train.json" in lines[0]
    assert f"--model_dir {model}" in lines[0]
    assert all(f"{plan}/configs/crossfit_part.json" in line for line in lines[1:4])
    assert all(f"{model}/configs" in line for line in (lines[4], *lines[6:]))
    assert not (model / "configs").exists()


def test_all_folds_and_the_final_model(patients, tmp_path, capsys):
    train(str(patients), str(tmp_path / "M"), dry_run=True, folds="all")
    shown = capsys.readouterr().out
    folds = len(re.findall(r"^  S\d", shown, re.MULTILINE))
    assert folds == 5
    assert "  S  " not in shown
    assert "part0" not in shown.split("$ ")[0]
    (line,) = (line for line in shown.splitlines() if " calibrate " in line)
    assert "--section test --fold 0,1,2,3,4 --weights" in line
    train(str(patients), str(tmp_path / "F"), dry_run=True, final=True)
    assert "S on every case" in capsys.readouterr().out


def test_one_fold_and_the_final_model_are_refused_together(patients, tmp_path):
    with pytest.raises(ValueError, match="--final trains every fold: leave --folds 2 out, or say --folds all"):
        train(str(patients), str(tmp_path / "M"), folds=2, final=True)
    assert not (tmp_path / "M").exists()


def test_cases_whose_names_are_numbers_keep_them(tmp_path, monkeypatch):
    tables = [pd.DataFrame({"case": [case], "label": ["1"], "dice": [0.5]}) for case in ("001", "NA")]
    job, folders = TrainingJob(tmp_path / "M", tmp_path), [tmp_path / "fold0", tmp_path / "fold1"]
    for folder, table in zip(folders, tables, strict=True):
        evaluated = job.work / "evaluation" / folder.name
        for place in (evaluated, folder / "models", folder / "configs"):
            place.mkdir(parents=True)
        (folder / "models" / "model.pt").touch()
        table.to_csv(evaluated / "metrics.csv", index=False)
        (folder / "configs" / "inference.json").write_text("{}")
    monkeypatch.setattr(training_folds, "add_results", lambda model, metrics: None)
    training_folds._gather(job, folders, ensemble=True)
    pooled = (job.work / "evaluation" / "metrics.csv").read_text()
    assert pooled == "case,label,dice\n001,1,0.5\nNA,1,0.5\n"
    summary = job.work / "summary.csv"
    summary.write_text("case,predicted_mean_dice,calibrated,review\n001,0.4,True,False\nNA,0.3,True,True\n")
    page = "".join(results_page.test_tables(read_cases_csv(job.work / "evaluation" / "metrics.csv"), summary))
    assert all(f"<th>{case}</th>" in page for case in ("001", "NA"))
    assert "0.4" in page
    assert page.count("<th>case</th>") == 1  # no mean of the names
    for case in ("001", "NA"):
        (job.work / case).mkdir()
        (job.work / case / "picture.png").touch()
    assert [case in part for case, part in zip(("001", "NA"), [*results_page.case_pictures(job.work)][1:], strict=True)]


@pytest.mark.parametrize("splits", [3, 7])
def test_a_file_of_folds_says_how_many_there_are(patients, tmp_path, splits):
    """The configuration plans five folds; the file that it names decides."""
    file = tmp_path / "folds.json"
    write_folds(file, [case["case"] for case in decathlon_split(patients, "all")], splits, validation=1)
    bundle = Path(__file__).parents[2] / "bundle"
    entries = {"folds_file": str(file), "dataset_dir": str(patients), "folds#validation": 1}
    stages = [*fold_stages(TrainingJob(tmp_path / "M", bundle, overrides=entries), final=False)]
    assert [stage.name for stage in stages if stage.name.startswith("S")] == [f"S{fold}" for fold in range(splits)]
    assert stages[-1].words[stages[-1].words.index("--fold") + 1] == ",".join(map(str, range(splits)))
    tested = out_of_fold_cases(patients, folds_file=file)
    assert {case["part"] for case in tested} == {*range(splits)}


def test_the_final_model_can_be_evaluated_by_its_own_files(patients, tmp_path):
    """Its training has no validation; evaluate.json, on top of the same train.json, needs an evaluator."""
    configs = Path(__file__).parents[2] / "bundle" / "configs"
    job, folders = TrainingJob(tmp_path / "M", configs.parent), [tmp_path / "fold0", tmp_path / "fold1"]
    for folder, epoch in zip(folders, (3, 5), strict=True):
        (folder / "docs").mkdir(parents=True)
        (folder / "docs" / "training.json").write_text(json.dumps({"epochs": 9, "validation": {"epoch": epoch}}))
    training_folds._write_final(job, folders)
    files, parser = [str(configs / "train.json"), str(job.work / "final.json")], ConfigParser()
    here = {"bundle_root": str(configs.parent), "dataset_dir": str(patients), "folds#validation": 2}
    parser.read_config(files)
    parser.update(here)
    assert parser.get_parsed_content("epochs") == 4
    assert len(parser.get_parsed_content("train#dataset#data")) == len(decathlon_split(patients, "all"))
    assert len(parser.get_parsed_content("validate#dataset")) == 0
    assert parser.get_parsed_content("train#handlers#5") is None  # ValidationHandler: it would fail without a case
    assert parser["train#handlers#5#_target_"] == "ValidationHandler"
    parser.read_config([*files, str(configs / "evaluate.json")])
    parser.update(here)
    assert parser["validate#evaluator#_target_"] == "SupervisedEvaluator"
    assert len(parser.get_parsed_content("validate#dataset")) > 0


@pytest.mark.parametrize(("cases", "stages"), [(1, ["S"]), (2, ["S", "part0", "part1", "D"]), (3, ["S", *STAGES[5:]])])
def test_of_few_cases_none_is_left_out(cases, stages, tmp_path, commands):
    run, _ = commands
    data = write_pelvic_dataset(tmp_path / "data", cases=cases, shape=(32, 32, 16))
    train(str(data), str(tmp_path / "M"))
    assert names(run) == stages
    if cases == 2:
        assert all(words[words.index("--parts") + 1] == "2" for _, words in run[1:])
    if cases < 3:
        with pytest.raises(ValueError, match="has one fold, which trains on every case: leave --folds and --final out"):
            train(str(data), str(tmp_path / "N"), folds="all")


def test_out_of_fold_cases_are_those_that_a_fold_tests(patients):
    split = {"folds": 3, "validation": 2, "seed": 1}
    cases = out_of_fold_cases(patients, fold=2, **split)
    assert [case["case"] for case in cases] == [case["case"] for case in decathlon_split(patients, "all")]
    for fold in range(3):
        tested = {case["case"] for case in decathlon_split(patients, "test", fold, **split)}
        assert {case["case"] for case in cases if case["part"] == fold} == tested


def test_a_bundle_trains_by_its_own_configuration_and_overlays():
    configs = Path(__file__).parents[2] / "bundle" / "configs"
    job = TrainingJob(
        Path("/M"), configs.parent, (configs / "tasks" / "promise12.json",), overrides={"channels": [4, 8]}
    )
    assert job.entries() == {"channels": [4, 8], "model_dir": Path("/M"), "seed": 0}
    assert json.loads((configs / "train.json").read_text())["epochs"]
