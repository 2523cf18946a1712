"""The bundle's folder is found from any working directory."""

import shutil
from pathlib import Path

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from dam_components.data import find_bundle_root

CONFIG = """{
    "bundle_root": {"_target_": "dam_components.data.find_bundle_root"},
    "run": ["$@bundle_root + '/models'"]
}"""


def resolve(file, **overrides):
    workflow = ConfigWorkflow([str(file)], logging_file=False, init_id="none", **overrides)
    workflow.initialize()
    return workflow.run()[0]


@pytest.mark.parametrize("place", ["configs/train.json", "configs/tasks/train.json"])
def test_it_is_the_folder_above_configs(tmp_path, monkeypatch, place):
    file = tmp_path / "my bundle" / place
    file.parent.mkdir(parents=True)
    file.write_text(CONFIG)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resolve(file) == str(tmp_path / "my bundle" / "models")
    monkeypatch.chdir(tmp_path / "my bundle")  # a relative path is made absolute
    assert resolve(Path(place)) == str(tmp_path / "my bundle" / "models")


def test_a_configuration_outside_a_bundle_lies_in_its_own_folder(tmp_path):
    (tmp_path / "train.json").write_text(CONFIG)
    assert resolve(tmp_path / "train.json") == str(tmp_path / "models")


def test_without_a_workflow_it_is_the_working_directory():
    parser = ConfigParser({"bundle_root": {"_target_": "dam_components.data.find_bundle_root"}})
    assert parser.get_parsed_content("bundle_root") == "."
    assert find_bundle_root() == "."


def test_the_projects_own_bundle_finds_itself_wherever_it_is_copied(tmp_path, monkeypatch):
    shutil.copytree(Path(__file__).parents[2] / "bundle" / "configs", tmp_path / "copy" / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAM_DATA", raising=False)
    for name in ("train.json", "inference.json"):
        file = tmp_path / "copy" / "configs" / name
        assert resolve(file, run=["$@output_dir"]) == str(tmp_path / "copy" / "output")
