"""nnU-Net's programs beside a torchvision whose operators are missing, as PyPI's are beside PyTorch for the CPU."""

import os
import subprocess
import sys

import pytest

from benchmarks.nnunet.program import nnunet_program

BROKEN = """
import torch
@torch.library.register_fake("torchvision::nms")
def describe(dets, scores, iou_threshold):
    return dets
"""
PROGRAM = """
import sys, torchvision
def main():
    print("segments", *sys.argv)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    facts = tmp_path / "nnunetv2-2.8.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: nnunetv2\nVersion: 2.8\n")
    (facts / "entry_points.txt").write_text("[console_scripts]\nnnUNetv2_train = run_training:main\n")
    (tmp_path / "run_training.py").write_text(PROGRAM)
    (tmp_path / "torchvision.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


def test_a_program_runs_beside_a_torchvision_without_operators(installed):
    alone = subprocess.run([sys.executable, "-c", "import torchvision"], env=installed, capture_output=True, text=True)
    assert "operator torchvision::nms does not exist" in alone.stderr
    words = nnunet_program("nnUNetv2_train", "4", "-device", "cpu")
    ended = subprocess.run(words, env=installed, capture_output=True, text=True)
    assert ended.stdout == "segments nnUNetv2_train 4 -device cpu\n", ended.stderr


def test_without_nnunet_the_error_says_what_to_install():
    with pytest.raises(SystemExit, match=r"nnUNetv2_no_such is not there: pip install .*\[nnunet\]"):
        nnunet_program("nnUNetv2_no_such")
