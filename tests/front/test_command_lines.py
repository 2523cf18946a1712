"""Every command of every command line: help, and what is refused before any work."""

import subprocess
import sys
from pathlib import Path

import pytest

from dam_components import cli
from dam_components.front import dispatch
from dam_components.front.checked_words import RENAMED
from dam_components.front.described import describe_command
from dam_study import cli as study_cli

PROJECT = Path(__file__).parents[2]


def leaves(commands, words=()):
    for name, entry in commands.items():
        if isinstance(entry, str):
            yield [*words, name], entry
        else:
            yield from leaves(entry, (*words, name))


ALL = [(line.main, words, target) for line in (cli, study_cli) for words, target in leaves(line.COMMANDS)]
LINES = pytest.mark.parametrize(("main", "words", "target"), ALL, ids=[target for _, _, target in ALL])


@pytest.fixture(autouse=True)
def nothing_is_imported(monkeypatch):
    """A command that is not imported has done no work."""

    def refuse(module):
        raise AssertionError(f"{module} was imported")

    monkeypatch.setattr(dispatch.importlib, "import_module", refuse)


def ended(main, words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    return end.value.code, *capsys.readouterr()


@LINES
def test_help_names_every_option_and_runs_nothing(main, words, target, capsys):
    options = describe_command(target).options
    for asked in (["-h"], ["--help"], ["some", "words", "--anything", "-h"]):
        code, out, err = ended(main, [*words, *asked], capsys)
        assert (code, err) == (0, "")
        assert out.startswith("usage: ")
        assert all(f"  --{option.name} " in out for option in options)
        assert not any(mark in out for mark in ("``", "Optional[", "GROUP", "COMMANDS", "Args:", "Raises:"))
    assert all(option.text for option in options), "an option without a line in the docstring"


@LINES
@pytest.mark.parametrize("bad", ["-z", "-o", "-", "--", "--no-such-option", "--nothing=3"])
def test_options_that_there_are_not_are_refused(bad, main, words, target, capsys):
    needed = [f"--{option.name}=1" for option in describe_command(target).options if option.default is None]
    code, out, err = ended(main, [*words, *needed, bad, "3"], capsys)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: there is no option {bad.split('=')[0].replace('no-such-', 'no_such_')}")


@LINES
def test_a_misspelt_option_is_answered_with_the_right_one(main, words, target, capsys):
    last = describe_command(target).options[-1].name
    _, _, err = ended(main, [*words, f"--{last}x", "1"], capsys)
    assert f"did you mean --{last}?" in err


@LINES
def test_words_that_do_not_fit_are_refused(main, words, target, capsys):
    options = describe_command(target).options
    needed = [option.name for option in options if option.default is None]
    if needed:
        assert f"--{needed[0]}" in ended(main, words, capsys)[2]
        assert "must be given" in ended(main, words, capsys)[2]
    valued = next(option.name for option in options if not option.is_switch)
    given = [*words, *(f"--{name}=1" for name in needed if name != valued)]
    assert f"--{valued} needs a value" in ended(main, [*given, f"--{valued}"], capsys)[2]
    assert f"--{valued} is given twice" in ended(main, [*given, f"--{valued}=1", f"--{valued}", "1"], capsys)[2]
    numbers = [option.name for option in options if option.kinds - {"None"} == {"int"}]
    for name in numbers[:1]:
        rest = [word for word in [*given, f"--{valued}=1"] if not word.startswith(f"--{name}=")]
        assert f"--{name} must be a whole number, got many" in ended(main, [*rest, f"--{name}=many"], capsys)[2]


@LINES
def test_one_thing_has_one_name_and_no_default_depends_on_the_working_directory(main, words, target, capsys):
    options = {option.name: option for option in describe_command(target).options}
    assert not set(options) & set(RENAMED)
    for name in {"data", "output", "bundle", "runs", "overrides", "overlay"} & set(options):
        assert options[name].default in (None, "None", "()"), f"--{name}: say where by default in the command itself"


@pytest.mark.parametrize("line", [cli, study_cli])
def test_the_list_of_commands(line, capsys):
    for words, status in ((["-h"], 0), (["--help"], 0), ([], 2)):
        code, out, _ = ended(line.main, words, capsys)
        assert code == status
        assert out.startswith("usage: ")
        assert all(f"\n  {name} " in out for name in line.COMMANDS)
    assert ended(line.main, ["--version"], capsys)[0] == 0
    code, _, err = ended(line.main, ["paint"], capsys)
    assert code == 2
    assert err.startswith("error: there is no command paint")
    name = next(iter(line.COMMANDS))
    assert f"did you mean {name}?" in ended(line.main, [f"{name}s"], capsys)[2]


@pytest.mark.parametrize("package", ["dam_components", "dam_study"])
def test_help_and_refusals_import_nothing_heavy(package):
    command = next(iter({"dam_components": cli, "dam_study": study_cli}[package].COMMANDS))
    script = f"""
import sys
from {package}.cli import main
for words in (["--help"], ["{command}", "-h"], ["{command}", "--nothing", "1"]):
    try:
        main(words)
    except SystemExit:
        pass
heavy = {{"torch", "monai", "numpy", "pandas", "scipy", "matplotlib", "sklearn"}} & set(sys.modules)
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
