"""An option that names nothing is one line before any work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from dam_components.options import check_bundle_options

CONFIGS = Path(__file__).parents[1] / "bundle" / "configs"
TRAIN, EVALUATE = str(CONFIGS / "train.json"), str(CONFIGS / "evaluate.json")
RUN = ["/anywhere/monai/bundle/__main__.py", "run"]


@pytest.mark.parametrize(
    ("files", "option", "line"),
    [
        (TRAIN, "--fold", "the configuration has no entry fold; did you mean --folds#fold?"),
        (TRAIN, "--ckptdir", "the configuration has no entry ckptdir; did you mean --ckpt_dir?"),
        (TRAIN, "--train#handler#1#_disabled_", "the configuration has no entry train#handler#1#_disabled_"),
        (TRAIN, "--train#handlers#99#_disabled_", "the configuration has no entry train#handlers#99#_disabled_"),
        (TRAIN, "--section", "the configuration has no entry section"),
    ],
)
def test_an_option_that_no_entry_has_is_refused(files, option, line):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        check_bundle_options([*RUN, "--config_file", files, option, "7"])
    assert str(refused.value).startswith(line)


@pytest.mark.parametrize(
    "option",
    [
        "--epochs",
        "--folds#fold",
        "--folds::fold",
        "--train#handlers#7#_disabled_",
        "--logging_file",
        "--+imports",
        "--section=test",
    ],
)
def test_entries_and_options_of_monai_pass(option):
    check_bundle_options([*RUN, f"--config_file=['{TRAIN}','{EVALUATE}']", option, "7"])


@pytest.mark.parametrize("argv", [["pytest", "run", "--fold"], [RUN[0], "ckpt_export", "--fold"]])
def test_other_programs_pass(argv):
    check_bundle_options(argv)


def test_options_in_a_file_count_too(tmp_path):
    (tmp_path / "args.json").write_text(json.dumps({"config_file": TRAIN, "epoch": 3}))
    with pytest.raises(ValueError, match="no entry epoch; did you mean --epochs"):
        check_bundle_options([*RUN, "--args_file", str(tmp_path / "args.json")])


def test_a_run_ends_with_that_line(tmp_path):
    command = [
        sys.executable,
        "-m",
        "monai.bundle",
        "run",
        "--config_file",
        str(CONFIGS / "inference.json"),
        "--outputdir",
        "x",
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=240)
    assert ended.returncode == 1
    assert "error: the configuration has no entry outputdir; did you mean --output_dir?" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("overlays", [["train_confidence"], ["train_confidence", "stored_probabilities"]])
def test_several_processes_are_refused_where_s_does_not_train(overlays):
    """They would put an untrained S before D, and write it over the trained one."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in ["train", *overlays, "multi_gpu_train"]])
    parser["bundle_root"] = str(CONFIGS.parent)
    last = len(parser["initialize"]) - 1
    assert "init_process_group" in str(parser["initialize"][:last])  # optimizer and S are made in the group
    with pytest.raises(RuntimeError) as refused:
        parser.get_parsed_content(f"initialize#{last}")
    assert "leave multi_gpu_train.json out" in str(refused.value.__cause__)
