"""From words to values: what a command gets."""

import sys

import pytest

from dam_components.front import run_command, run_commands

MODULE = '''
"""A module with a command."""

import json

LIMIT = 7


def show(
    where: str,
    count: int = LIMIT,
    share: float | None = None,
    *,
    loud: bool = False,
    names: str | list[str] = (),
    overlay: str | None = None,
    entries: dict | None = None,
) -> None:
    """Prints what it got. Then it ends.

    More of ``it``, see :func:`~json.dumps`.

    Args:
        where: a place,
            and more of it.
        count: how many.
        share: of them.
        loud: or not.
        names: of them.
        overlay: on top.
        entries: by name.

    Raises:
        ValueError: if where is ``"nowhere"``.
    """
    if where == "nowhere":
        raise ValueError("no place")
    print(json.dumps([where, count, share, loud, names, overlay]))
'''


@pytest.fixture
def target(tmp_path, monkeypatch):
    (tmp_path / "shows_words.py").write_text("from __future__ import annotations\n" + MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield "shows_words:show"
    sys.modules.pop("shows_words", None)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["a"], '["a", 7, null, false, [], null]'),
        (["2024_01", "3"], '["2024_01", 3, null, false, [], null]'),  # fire by itself reads 202401
        (["--where=1e5", "--count", "-1", "--share", "-.5"], '["1e5", -1, -0.5, false, [], null]'),
        (["a", "--loud", "--names", "x,y"], '["a", 7, null, true, ["x", "y"], null]'),
        (["--loud", "a"], '["a", 7, null, true, [], null]'),  # fire by itself sets loud to a
        (["a", "--loud", "false"], '["a", 7, null, false, [], null]'),
        (["a", "--noloud"], '["a", 7, null, false, [], null]'),
        (["a", "--share", "None", "--overlay="], '["a", 7, null, false, [], ""]'),
    ],
)
def test_values(words, values, target, capsys):
    run_command(target, "show", words)
    assert capsys.readouterr().out.strip() == values


def test_a_renamed_option_works_with_a_warning(target, capsys):
    run_command(target, "show", ["a", "--config-overlay", "b.json"])
    out, err = capsys.readouterr()
    assert out.strip().endswith('"b.json"]')
    assert err == "warning: --config_overlay is now --overlay; the old name goes in 0.3.0\n"


def test_groups(target, capsys):
    commands = {"one": target, "more": {"of_it": target}}
    run_commands(commands, "program", "About.", ["more", "of-it", "a"])
    assert capsys.readouterr().out.startswith('["a", 7')
    with pytest.raises(SystemExit) as end:
        run_commands(commands, "program", "About.", ["more", "-h"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert out.startswith("usage: program more COMMAND")
    assert "of_it  Prints what it got." in out
    with pytest.raises(SystemExit):
        run_commands(commands, "program", "About.", ["more", "paint"])
    assert "there is no command paint" in capsys.readouterr().err


def test_help(target, capsys):
    with pytest.raises(SystemExit):
        run_command(target, "show", ["nowhere", "-h"])
    assert capsys.readouterr().out.startswith("""usage: show WHERE [options]

Prints what it got. Then it ends.

More of it, see json.dumps.

Options:
  --where     A place, and more of it. Required.
  --count     How many. Default: 7.
""")


def test_an_error_of_the_command_is_one_line(target, capsys):
    with pytest.raises(ValueError, match="no place"):
        run_command(target, "show", ["nowhere"])


def test_what_is_no_command_is_told():
    with pytest.raises(ValueError, match=r"dam_components.cli has no function paint"):
        run_command("dam_components.cli:paint", "paint", [])
    with pytest.raises(ValueError, match="there is no module dam_components.paint"):
        run_command("dam_components.paint:paint", "paint", [])
