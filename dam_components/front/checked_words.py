"""The words of a command line, checked before any work. python-fire itself runs a command first, and complains then."""

from __future__ import annotations

import ast
import difflib
import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress

from fire.parser import DefaultParseValue

from dam_components.front.described import Command, Option

__all__ = ["RENAMED", "UsageError", "check_words", "closest"]

RENAMED = {"dataset_dir": "data", "output_dir": "output", "config_overlay": "overlay"}  # old names, until 0.3.0
NUMBERS = {"int": ("a whole number", (int,)), "float": ("a number", (int, float)), "bool": ("True or False", (bool,))}


class UsageError(ValueError):
    """A command line that asks for what there is not."""


def check_words(command: Command, words: Sequence[str]) -> list[str]:
    """The words as ``--name=value``, for python-fire.

    Args:
        command: the command that they are for.
        words: what follows its name on the command line.

    Raises:
        UsageError: for a short or unknown option, one given twice or without its value, a value of another kind, a
            word too many, or a required option that is missing.

    Example:
        >>> from dam_components.front.described import describe_command
        >>> synthesize = describe_command("dam_components.commands.synthesis:synthesize")
        >>> check_words(synthesize, ["folder", "--cases", "3"])
        ['--cases=3', '--output=folder']
        >>> check_words(synthesize, ["folder", "--case", "3"])
        Traceback (most recent call last):
        ...
        dam_components.front.checked_words.UsageError: there is no option --case; did you mean --cases?
    """
    options = {option.name: option for option in command.options}
    given: dict[str, str] = {}
    loose: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not _is_option(word):
            loose.append(word)
            continue
        option, value = _take(options, word, rest)
        if option.name in given:
            raise UsageError(f"--{option.name} is given twice")
        given[option.name] = _of_its_kind(option, value)
    for option in command.options:
        if loose and option.name not in given:
            given[option.name] = _of_its_kind(option, loose.pop(0))
    if loose:
        raise UsageError(f"there is no option for the word {loose[0]!r}: name it, as in --option {loose[0]}")
    missing = [f"--{option.name}" for option in command.options if option.default is None and option.name not in given]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given")
    return [f"--{name}={value}" for name, value in given.items()]


def closest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is spelt most like this one."""
    near = difflib.get_close_matches(name, known, n=1)
    return near[0] if near else None


def _is_option(word: str) -> bool:
    return bool(re.match(r"-([^\d.\[]|$)", word))  # -1, -.5 and what follows them are values


def _take(options: dict[str, Option], word: str, rest: list[str]) -> tuple[Option, str]:
    """The option that a word names, with its value, which may be the word after it."""
    name, equals, value = word.partition("=")
    option, switched_off = _find(options, name)
    if equals:
        return option, value
    if switched_off:
        return option, "False"
    said = rest[0].lower() if rest and not _is_option(rest[0]) else None
    if said in ("true", "false") or (said is not None and not option.is_switch):
        return option, rest.pop(0)
    if option.is_switch:
        return option, "True"
    raise UsageError(f"--{option.name} needs a value")


def _find(options: dict[str, Option], word: str) -> tuple[Option, bool]:
    if not word.startswith("--") or word == "--":
        raise UsageError(f"there is no option {word}: options begin with two dashes; --help lists them")
    name = word[2:].replace("-", "_")
    new = RENAMED.get(name)
    if name not in options and new in options:
        print(f"warning: --{name} is now --{new}; the old name goes in 0.3.0", file=sys.stderr)
        name = str(new)
    if name in options:
        return options[name], False
    positive = options.get(name.removeprefix("no_" if name.startswith("no_") else "no"))
    if name.startswith("no") and positive is not None and positive.is_switch:
        return positive, True
    near = closest(name, list(options))
    raise UsageError(f"there is no option --{name}" + (f"; did you mean --{near}?" if near else "; --help lists them"))


def _of_its_kind(option: Option, value: str) -> str:
    """The value as python-fire reads it, if it makes of it what the option takes."""
    kinds = option.kinds - {"None"}
    if "Mapping" in kinds:
        return _mapping(option, value)
    if not kinds or not kinds <= set(NUMBERS) or (value == "None" and "None" in option.kinds):
        return value
    value = value.capitalize() if value.lower() in ("true", "false") else value
    found = DefaultParseValue(value)
    what, types = max((NUMBERS[kind] for kind in kinds), key=lambda entry: len(entry[1]))
    if not isinstance(found, types) or (isinstance(found, bool) and "bool" not in kinds):
        raise UsageError(f"--{option.name} must be {what}, got {value}")
    return value


def _mapping(option: Option, value: str) -> str:
    """JSON as Python writes it: python-fire reads ``true`` as a word."""
    found = None
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError):
            found = read(value)
            break
    if not isinstance(found, dict):
        raise UsageError(f"--{option.name} must be a JSON object such as '{{\"amp\": true}}', got {value}")
    return repr(found)
