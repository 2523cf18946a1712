"""Configurations read back as they were, and read well."""

import json

import pytest

from dam_components.planning.config_text import config_text


@pytest.mark.parametrize(
    "value", [{}, {"a": []}, {"a": {"b": [1, {"c": None}]}, "d": ['q"uote', "ä", True, 0.5]}, [1, "x"]]
)
def test_it_reads_back_as_it_was(value):
    text = config_text(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert text.endswith("\n")


def test_what_fits_stands_on_one_line_and_nothing_is_longer():
    rows = [{"_target_": "RandGaussianNoised", "keys": "image", "prob": number / 7} for number in range(9)]
    lines = config_text({"transforms": rows, "patch": [[2, 2, 1], 2]}).splitlines()
    assert len(lines) == 14
    assert max(map(len, lines)) <= 120
    assert json.loads(lines[2].strip().rstrip(",")) == rows[0]
    assert lines[-2] == '    "patch": [[2, 2, 1], 2]'


@pytest.mark.parametrize("length", [*range(95, 111)])
def test_the_comma_fits_too(length):
    lines = config_text({"a": [1, "x" * length], "b": 1}).splitlines()
    assert max(map(len, lines)) <= 120
    assert (len(lines) == 4) == (len('    "a": [1, ""],') + length <= 120)
