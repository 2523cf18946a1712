"""Ranges for users, pins for CI: every requirement has a pin, and each pin lies in its range."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [re.fullmatch(r"([\w.-]+)==(\S+)", line) for line in lines if line and not line.startswith("#")]
    assert all(found), "constraints.txt holds a line that is no pin"
    return {canonicalize_name(line[1]): line[2] for line in found if line}


def requirements() -> list[tuple[str, Requirement]]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    sections = {"install_requires": config["options"]["install_requires"], **config["options.extras_require"]}
    lines = [(name, line) for name, text in sections.items() for line in text.split("\n") if line.strip()]
    return [(name, Requirement(line)) for name, line in lines if not line.startswith("dam-components")]


PINNED_EXTRAS = {
    "install_requires",
    "test",
    "export",
    "formats",
    "review",
    "study",
    "dicom",
    "dicomweb",
    "nnunet",
    "browser",
}


@pytest.mark.parametrize("extra, wanted", [pair for pair in requirements() if pair[0] in PINNED_EXTRAS], ids=str)
def test_a_requirement_is_pinned_within_its_range(extra, wanted):
    pin = pins().get(canonicalize_name(wanted.name))
    assert pin is not None, f"{wanted.name} of {extra} has no pin in constraints.txt"
    assert wanted.specifier.contains(pin, prereleases=True), f"{wanted.name}=={pin} lies outside {wanted.specifier}"


def test_every_requirement_has_a_lowest_version():
    loose = {"pandas-stubs", "einops"}  # types and an optional import of MONAI's, used by tests alone
    for extra, wanted in requirements():
        lowest = any(part.operator in (">=", "==", "~=") for part in wanted.specifier)
        assert lowest or wanted.name in loose, f"{extra}: {wanted}"
