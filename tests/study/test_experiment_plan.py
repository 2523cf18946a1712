"""What a cell is: its overlays, its folds, and the hash of its settings."""

import json
import re
import shutil
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.data import write_folds
from dam_study.experiments.planned_cell import plan_cell

SYSTEMS = sorted(file.stem for file in (bundle_folder() / "configs" / "experiments").glob("*.json"))


@pytest.fixture
def plan(patients, tmp_path):
    def make(system="proposed", task="pelvic", data=None, validation=1, runs=None, **options):
        runs = tmp_path / "runs" if runs is None else runs
        cell = plan_cell(system, task, data or patients, validation=validation, runs=runs, **options)
        cell.store_folds()
        return cell

    return make


def edited_bundle(folder, name, **entries):
    """A copy of the bundle's configurations with other entries in one of them."""
    shutil.copytree(bundle_folder() / "configs", folder / "configs")
    file = folder / "configs" / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))
    return folder


def test_the_directory_names_data_system_fold_seed_and_hash(plan, tmp_path):
    cell = plan(fold=2, seed=7)
    assert cell.folder.parent == tmp_path / "runs" / "pelvic" / "proposed"
    assert re.fullmatch(r"fold2-seed7-[0-9a-f]{8}", cell.folder.name)
    asked = {"system": "proposed", "data": "pelvic", "protocol": "kfold", "fold": 2, "seed": 7}
    assert {name: cell.settings[name] for name in asked} == asked
    assert cell.folder.name.endswith(cell.settings["hash"])
    assert cell.settings["entries"]["seed"] == cell.setup["seed"] == 7
    assert cell.setup["folds"]["fold"] == 2
    assert cell.setup["weights"] == f"{cell.setup['ckpt_dir']}/model.pt" == str(cell.folder / "models" / "model.pt")


def test_the_task_then_the_system_then_what_is_recorded(plan):
    cell = plan("voxel")
    order = ["train.json", "pelvic.json", "voxel.json", "record_train.json"]
    assert [file.name for file in cell.train] == order
    order = ["train.json", "evaluate.json", "pelvic.json", "voxel.json", "record_evaluate.json"]
    assert [file.name for file in cell.evaluate] == order
    assert (cell.settings["entries"]["beta"], cell.settings["entries"]["gamma"]) == (2.0, 0.0)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_is_the_same_for_this_command_and_for_monai(system, plan):
    """``python -m monai.bundle run`` with train.json, the task and the overlay, and nothing else."""
    cell, configs = plan(system), bundle_folder() / "configs"
    files = [configs / "train.json", configs / "tasks" / "pelvic.json", configs / "experiments" / f"{system}.json"]
    assert [file for file in cell.train if file.parent.name != "experiments" or file in files] == files
    overlay = json.loads(files[-1].read_text())
    assert {key for key in overlay if key.startswith("_")} == {"_desc_"}  # no key that MONAI would pass over
    written = ConfigParser.load_config_files([str(file) for file in files])
    places = {"bundle_root", "model_dir", "ckpt_dir", "dataset_dir", "output_dir"}
    places |= {"folds_file", "resume", "folds", "seed"}
    ours = cell.settings["entries"]
    assert {*written} - {*ours} <= places | {key for key in written if key.startswith("_")}
    assert ours == {**ours, **{name: without_comments(written[name]) for name in {*ours} - places}}


def without_comments(value):
    if isinstance(value, dict):
        return {key: without_comments(item) for key, item in value.items() if key != "_desc_"}
    return [without_comments(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": {"epochs": 3}},
        {"overrides": {"network_def#residual": False}},
        {"seed": 1},
        {"fold": 1},
        {"validation": 2},
        {"folds": 4},
        {"protocol": "two-fold"},
        {"system": "voxel"},
    ],
)
def test_another_setting_is_another_hash(change, plan):
    assert plan(**change).settings["hash"] != plan().settings["hash"]


def test_the_content_of_the_fold_file_and_the_cases_are_part_of_the_hash(plan, patients, tmp_path):
    hashes = {plan(folds=4).settings["hash"]}
    file = next((tmp_path / "runs" / "pelvic").glob("folds-*.json"))
    cases = json.loads(file.read_text())["cases"]
    write_folds(file, cases, 4, 1, seed=123)  # the same name, other folds
    hashes.add(plan(folds=4).settings["hash"])
    fewer = tmp_path / "fewer"
    shutil.copytree(patients, fewer)
    index = json.loads((fewer / "dataset.json").read_text())
    index["training"].pop()
    (fewer / "dataset.json").write_text(json.dumps(index))
    hashes.add(plan(folds=4, data=fewer, runs=tmp_path / "other").settings["hash"])
    assert len(hashes) == 3


def test_an_edit_of_the_evaluation_is_another_hash(plan, tmp_path):
    bundle = edited_bundle(tmp_path / "bundle", "evaluate.json", section="validation")
    assert plan(bundle=bundle).settings["hash"] != plan().settings["hash"]


def test_places_and_comments_are_no_settings(plan, patients, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(patients, moved)
    bundle = edited_bundle(tmp_path / "bundle", "train.json", _desc_="other words", difficulty_frames=3)
    same = plan(data=moved, runs=tmp_path / "elsewhere", bundle=bundle)
    assert same.settings["hash"] == plan().settings["hash"]
    assert str(tmp_path) not in json.dumps(same.settings)


@pytest.mark.parametrize(
    ("options", "folds"),
    [
        ({}, 5),  # the task's
        ({"protocol": "two-fold"}, 2),
        ({"protocol": "leave-one-out"}, 5),  # five cases
        ({"folds": 3}, 3),
        ({"protocol": "two-fold", "folds": 4}, 4),
    ],
)
def test_protocols(options, folds, plan, tmp_path):
    plan(**options)
    content = json.loads((tmp_path / "runs" / "pelvic" / f"folds-{folds}-1-0.json").read_text())
    assert content["folds"] == len(content["splits"]) == folds
    assert {len(split["validation"]) for split in content["splits"]} == {1}


def test_the_tasks_own_validation_share(plan, tmp_path):
    plan(validation=None)  # a tenth of five cases rounds to none
    assert (tmp_path / "runs" / "pelvic" / "folds-5-0.1-0.json").is_file()


def test_what_is_stored_is_what_was_planned(plan, patients, tmp_path):
    cell = plan_cell("unet", "pelvic", patients, validation=1, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    cell.store_folds()
    assert json.loads(Path(cell.setup["folds_file"]).read_text()) == cell.folds == plan("unet").folds
    assert plan("unet").settings["hash"] == cell.settings["hash"]


def test_folds_are_stored_once_for_all_systems(plan):
    first, second = plan(), plan("unet", fold=3, seed=2)
    assert first.setup["folds_file"] == second.setup["folds_file"]
    file = Path(first.setup["folds_file"])
    before = file.stat().st_mtime_ns
    plan("voxel")
    assert file.stat().st_mtime_ns == before


def test_a_system_without_training_stays_without(plan):
    assert plan("malf", overrides={"epochs": 7}).settings["entries"]["epochs"] == 0


def test_the_tasks_own_folder_is_the_default(patients, tmp_path, monkeypatch):
    monkeypatch.setenv("DAM_DATA", str(tmp_path / "data"))
    shutil.copytree(patients, tmp_path / "data" / "Pelvic")
    cell = plan_cell("unet", "pelvic", validation=1, runs=tmp_path / "runs")
    assert cell.setup["dataset_dir"] == str(tmp_path / "data" / "Pelvic")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"system": "nunet"},
            r"system must be one of adversarial, all_terms, .*vnet, voxel, "
            "voxel_correctness, voxel_correctness_flips, got 'nunet'",
        ),
        ({"task": "liver"}, r"task must be one of hippocampus, .*promise12, got 'liver'"),
        ({"protocol": "loo"}, "protocol must be one of kfold, two-fold, leave-one-out, got 'loo'"),
        ({"overrides": {"epoch": 3}}, "overrides name 'epoch', which is no entry of"),
        ({"overrides": {"networks#residual": False}}, "overrides name 'networks#residual', which is no entry of"),
        ({"overrides": {"output_dir": "x"}}, "overrides cannot set output_dir"),
        ({"overrides": {"folds#fold": 1}}, "overrides cannot set folds#fold"),
        ({"fold": 5}, "fold must be from 0 to 4, got 5"),
        ({"folds": 9}, "folds must be an integer from 1 to the number of cases, 5, got 9"),
    ],
)
def test_what_does_not_exist_is_refused(options, message, plan):
    with pytest.raises(ValueError, match=message):
        plan(**options)


def test_a_dataset_without_the_organ_is_refused(plan, patients, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(patients, other)
    index = json.loads((other / "dataset.json").read_text())
    index["labels"]["2"] = "uterus"
    (other / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="does not have the prostate of task pelvic: its label 2 is uterus; name"):
        plan(data=other)
    del index["labels"]["2"]
    (other / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="its label 2 is not there"):
        plan(data=other)


def test_a_label_may_have_a_part_of_the_organs_name(plan, patients, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(patients, other)
    index = json.loads((other / "dataset.json").read_text())
    index["labels"] = {"0": "background", "1": "Anterior", "2": "Posterior"}
    (other / "dataset.json").write_text(json.dumps(index))
    assert plan(task="hippocampus", data=other).settings["data"] == "hippocampus"


def test_a_fold_file_of_other_data_is_refused(plan, tmp_path):
    write_folds(tmp_path / "runs" / "pelvic" / "folds-5-1-0.json", list("abcdef"), 5, 1, 0)
    with pytest.raises(ValueError, match=r"folds-5-1-0\.json names cases that the data lacks: a, b, c"):
        plan()


def test_no_dataset(plan, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no dataset\.json in"):
        plan(data=tmp_path)
