"""The example of the documentation runs from top to bottom."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_shows_the_map_on_a_synthetic_case(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "confidence_map.py"), "4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=300)
    assert ended.returncode == 0, ended.stderr
    right, wrong = map(float, re.findall(r"where S is right ([\d.]+), where it is wrong ([\d.]+)", ended.stdout)[0])
    assert right > wrong  # D trusts S more where S is right
    assert (tmp_path / "output" / "confidence_map.png").stat().st_size > 10_000
