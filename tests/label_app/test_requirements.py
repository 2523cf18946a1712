"""The one file that the environment of MONAI Label is installed from: exact, and complete for this project too."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LINES = [
    line for line in (ROOT / "label_app/requirements.txt").read_text().splitlines() if line and not line.startswith("#")
]
PINS = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in LINES)}


def needed() -> list[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config["options"]["install_requires"].split()


def test_every_line_is_an_exact_version():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in LINES)
    assert len(PINS) == len(LINES) > 100
    assert [line.lower() for line in LINES] == sorted(line.lower() for line in LINES)


@pytest.mark.parametrize("line", needed())
def test_what_this_project_needs_is_in_it(line):
    wanted = Requirement(line)
    assert wanted.specifier.contains(PINS[canonicalize_name(wanted.name)])
