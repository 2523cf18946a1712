"""The commands, each as `python -m dam_components` calls it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from dam_components import cli
from dam_components.commands import bundle_jobs
from dam_components.commands.bundle_jobs import bundle_folder, run_bundle

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def same_hook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the command line sets it


def test_synthesize_writes_a_dataset(tmp_path, capsys):
    target = tmp_path / "pelvis"
    cli.main(["synthesize", "--output", str(target), "--cases", "2", "--seed", "3", "--shape", "[32,32,16]"])
    index = json.loads((target / "dataset.json").read_text())
    assert index["numTraining"] == 2
    assert index["synthetic"]["seed"] == 3
    assert index["synthetic"]["shape"] == [32, 32, 16]
    assert index["synthetic"]["spacing"] == [5, 5, 6]
    assert f"2 cases: {target / 'dataset.json'}" in capsys.readouterr().out
    cli.main(["synthesize", str(target), "--cases=1", "--shape=[32,32,16]", "--spacing=[6,6,7]"])
    assert json.loads((target / "dataset.json").read_text())["synthetic"]["spacing"] == [6, 6, 7]


def test_a_value_out_of_range_fails(tmp_path):
    with pytest.raises(ValueError, match="cases must be at least 1, got 0"):
        cli.main(["synthesize", "--output", str(tmp_path), "--cases", "0"])
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        cli.main(["demo", "--output", str(tmp_path), "--epochs", "0"])


def test_the_bundle_of_a_checkout_is_found_and_a_copy_can_be_named(tmp_path, monkeypatch):
    assert bundle_folder() == PROJECT / "bundle"
    (tmp_path / "copy" / "configs").mkdir(parents=True)
    (tmp_path / "copy" / "configs" / "train.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert bundle_folder("copy") == tmp_path / "copy"
    with pytest.raises(FileNotFoundError, match="elsewhere is no bundle: it has no configs/train.json; name another"):
        bundle_folder("elsewhere")
    monkeypatch.setattr(bundle_jobs, "BESIDE_PACKAGE", tmp_path / "site-packages" / "bundle")
    with pytest.raises(FileNotFoundError, match="an installed package holds none; .* with --bundle"):
        bundle_folder()


def test_a_step_that_fails_ends_with_its_status_and_is_printed(tmp_path, capfd):
    (tmp_path / "fails.json").write_text('{"status": 0, "run": ["$exit(@status)"]}')
    with pytest.raises(SystemExit) as ended:
        run_bundle([tmp_path / "fails.json"], status=7)
    assert ended.value.code == 7
    shown = capfd.readouterr().out
    assert f"-m monai.bundle run --config_file \"['{tmp_path / 'fails.json'}']\" --status 7\n" in shown
    run_bundle([tmp_path / "fails.json"])  # status 0: it just returns


def test_demo_goes_the_whole_way(tmp_path):
    """In a new folder, as the README has it but for one epoch."""
    command = [sys.executable, "-m", "dam_components", "demo", "--epochs", "1", "--output", "made here"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=900)
    assert done.returncode == 0, done.stderr
    log, _, files = done.stdout.partition("\nwrote\n")
    assert re.search(r"train: epoch 1 of 1: loss \d", log)
    assert len(done.stdout.splitlines()) <= 60  # without the bars
    rows = pd.read_csv(tmp_path / "made here" / "model" / "training" / "evaluation" / "metrics.csv")
    mean = rows[rows["region"] == "whole"].groupby("label")["dice"].mean().mean()
    assert "mean over 3 cases" in log
    assert f"mean Dice of the classes: {mean:.4f}\n" in log
    written = [Path(line.strip()) for line in files.splitlines()]
    assert [file.name for file in written] == [
        "index.html",
        "pelvic_000_seg.nii.gz",
        "pelvic_000_confidence.nii.gz",
        "segmentation.png",
    ]
    assert all((tmp_path / file).is_file() for file in written)
    assert [file.name for file in tmp_path.iterdir()] == ["made here"]
