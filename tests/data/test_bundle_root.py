"""The bundle's folder is found from the command line, from any working directory."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from dam_components.data import find_bundle_root

MONAI = "/somewhere/monai/bundle/__main__.py"
CONFIG = """{
    "imports": ["$import dam_components.data as data"],
    "bundle_root": "$data.find_bundle_root()",
    "run": ["$print('root', @bundle_root)"]
}"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "my, bundle" / "configs" / "train.json"
    (file.parent / "tasks").mkdir(parents=True)
    for name in ("train.json", "more.json", "tasks/other.json"):
        (file.parent / name).write_text(CONFIG)
    return file


@pytest.mark.parametrize(
    "given",
    [
        ["--config_file", "{configs}/train.json"],
        ["--config-file", "{configs}/tasks/other.json", "--device", "cpu"],
        ["--epochs", "2", "--config_file={configs}/train.json"],
        ["--config_file", "['{configs}/train.json','{configs}/more.json']"],
        ["--config_file", "('{configs}/train.json', '/elsewhere/setup.json')"],
        ["--args_file", "{args}"],
    ],
)
@pytest.mark.parametrize("command", ["run", "run_workflow", "ckpt_export"])
def test_it_is_the_folder_above_configs(file, tmp_path, given, command):
    arguments = tmp_path / "args.json"
    arguments.write_text(json.dumps({"config_file": [str(file), "/elsewhere/more.json"]}))
    words = [word.format(configs=file.parent, args=arguments) for word in given]
    assert find_bundle_root([MONAI, command, *words]) == str(tmp_path / "my, bundle")


def test_names_with_a_comma_between():
    words = [MONAI, "run", "--config_file", "/b/configs/train.json,/c/configs/evaluate.json"]
    assert find_bundle_root(words) == "/b"


def test_a_relative_path_is_made_absolute(file, tmp_path, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert find_bundle_root([MONAI, "run", "--config_file", "train.json"]) == str(tmp_path / "my, bundle")


def test_a_configuration_outside_a_bundle_lies_in_its_own_folder():
    assert find_bundle_root([MONAI, "run", "--config_file", "/x/y/train.json"]) == "/x/y"


@pytest.mark.parametrize("argv", [["pytest", "--config_file", "/b/configs/train.json"], [MONAI, "run"], [""]])
def test_elsewhere_it_is_the_working_directory(argv):
    assert find_bundle_root(argv) == "."


def test_monai_itself_finds_it(file, tmp_path):
    launch = ["torch.distributed.run", "--standalone", "-m", "monai.bundle"]  # with torchrun, as without
    words = [sys.executable, "-m", *launch, "run", "--config_file", str([str(file)])]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"root {tmp_path / 'my, bundle'}\n" in done.stdout


def test_the_projects_own_bundle_finds_itself_wherever_it_is_copied(tmp_path, monkeypatch):
    shutil.copytree(Path(__file__).parents[2] / "bundle" / "configs", tmp_path / "copy" / "configs")
    monkeypatch.delenv("DAM_DATA", raising=False)
    for name in ("train.json", "inference.json"):
        file = tmp_path / "copy" / "configs" / name
        monkeypatch.setattr(sys, "argv", [MONAI, "run", "--config_file", str(file)])
        parser = ConfigParser()
        parser.read_config(str(file))
        assert parser.get_parsed_content("output_dir") == str(tmp_path / "copy" / "output")
