"""From the words of a command line to the command that they name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from dam_components import __version__
from dam_components.errors import plain_errors
from dam_components.front.described import describe_command
from dam_components.front.help_pages import Commands, command_help, list_help

__all__ = ["run_command", "run_commands"]

HELP = ("-h", "--help")


def run_commands(commands: Commands, program: str, about: str, words: Sequence[str] | None = None) -> None:
    """Runs the command that the words name. Help, version and refusals come before anything is imported.

    Args:
        commands: ``"module:function"`` by name, or a mapping of such: a group. A name may be typed with dashes.
        program: what a person types before the command.
        about: what the program is, in a line.
        words: by default those of the process.

    Raises:
        SystemExit: with status 2 if there is no such command or option, with 0 after help and version.
    """
    rest = list(sys.argv[1:] if words is None else words)
    if rest[:1] == ["--version"]:
        _end(f"{program} {__version__}")
    entry: str | Commands = commands
    while not isinstance(entry, str):
        if not rest or rest[0] in HELP:
            _end(list_help(program, entry, about), 0 if rest else 2)
        name = rest.pop(0).replace("-", "_")
        if name not in entry:
            from dam_components.front.checked_words import closest

            near = closest(name, list(entry))
            _refuse(f"there is no command {name}" + (f"; did you mean {near}?" if near else ""), program)
        entry, program, about = entry[name], f"{program} {name}", ""
    run_command(entry, program, rest)


def run_command(target: str, program: str, words: Sequence[str] | None = None) -> None:
    """Runs a function with python-fire, once the words are known to fit it.

    Args:
        target: ``"package.module:function"``.
        program: what a person types to run it.
        words: its options, by default those of the process.

    Raises:
        SystemExit: with status 2 if the words do not fit, with 0 after help.
    """
    words = sys.argv[1:] if words is None else words
    command = describe_command(target)
    if any(word in HELP for word in words):
        _end(command_help(program, command))

    import fire
    from fire.decorators import SetParseFn

    from dam_components.front.checked_words import UsageError, check_words

    try:
        checked = check_words(command, words)
    except UsageError as error:
        _refuse(str(error), program)
    module, _, name = target.partition(":")
    package = importlib.import_module(module.partition(".")[0])
    plain_errors([Path(folder) for folder in getattr(package, "__path__", ())])
    function = getattr(importlib.import_module(module), name)
    if texts := [option.name for option in command.options if option.is_text]:
        SetParseFn(str, *texts)(function)
    fire.Fire(function, command=checked, name=program)


def _end(text: str, status: int = 0) -> None:
    print(text)
    raise SystemExit(status)


def _refuse(message: str, program: str) -> None:
    print(f"error: {message}\n{program} --help explains it.", file=sys.stderr)
    raise SystemExit(2)
