"""The help of commands, as plain text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping

from dam_components.front.described import Command, Option, describe_command

__all__ = ["command_help", "list_help"]

Commands = Mapping[str, "str | Commands"]


def list_help(program: str, commands: Commands, about: str = "") -> str:
    """The commands of a program or of a group, one a line.

    Args:
        program: what a person types before the command.
        commands: ``"module:function"`` by name, or a mapping of such: a group.
        about: what the program is.
    """
    rows = [(name, _summary(entry)) for name, entry in sorted(commands.items())]
    parts = [f"usage: {program} COMMAND [options]", about, "Commands:\n" + _table(rows)]
    parts.append(f"{program} COMMAND --help explains a command.")
    return "\n\n".join(part for part in parts if part)


def command_help(program: str, command: Command) -> str:
    """One command: what it does, and its options.

    Args:
        program: what a person types, the command's name included.
        command: as :func:`~dam_components.front.described.describe_command` gives it.
    """
    needed = "".join(f" {option.name.upper()}" for option in command.options if option.default is None)
    rows = [(f"--{option.name}", _option_text(option)) for option in command.options]
    rows.append(("-h, --help", "Prints this text."))
    wrapped = [textwrap.fill(" ".join(block.split()), _width()) for block in command.details.split("\n\n") if block]
    parts = [f"usage: {program}{needed} [options]"]
    parts += [textwrap.fill(" ".join(command.summary.split()), _width()), *wrapped, "Options:\n" + _table(rows)]
    return "\n\n".join(parts)


def _summary(entry: str | Commands) -> str:
    if isinstance(entry, str):
        return " ".join(describe_command(entry).summary.split()).partition(". ")[0].rstrip(".") + "."
    return "A group of commands: " + ", ".join(sorted(entry)) + "."


def _option_text(option: Option) -> str:
    text = option.text[:1].upper() + option.text[1:]
    if option.default is None:
        return f"{text} Required."
    empty = option.default in ("None", "()", "''", '""')
    return text if empty else f"{text} Default: {option.default.strip(chr(39))}."


def _table(rows: list[tuple[str, str]]) -> str:
    edge = 2 + max(len(name) for name, _ in rows) + 2
    lines = []
    for name, text in rows:
        first, *more = textwrap.wrap(text, max(30, _width() - edge)) or [""]
        lines += [f"  {name:<{edge - 2}}{first}".rstrip(), *(" " * edge + line for line in more)]
    return "\n".join(lines)


def _width() -> int:
    return min(100, shutil.get_terminal_size().columns)
