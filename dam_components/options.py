"""Options of ``python -m monai.bundle run`` that name nothing: refused in one line, before any work."""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle import run as bundle_run

__all__ = ["check_bundle_options"]


def check_bundle_options(argv: Sequence[str] | None = None) -> None:
    """Refuses options of ``python -m monai.bundle run`` that no entry of its configuration files has, which MONAI would
    add and nothing would read. Whatever else called the configuration passes.

    An option in an existing entry (``--train#handlers#7#_disabled_``) may be new there.

    Args:
        argv: by default that of the process.

    Raises:
        ValueError: naming the option, and an entry that is spelt like it.
    """
    argv = sys.argv if argv is None else argv
    if Path(argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py") or list(argv[1:2]) != ["run"]:
        return
    arguments = argv[2:]
    in_file = _args_file(_value(arguments, "args_file"))
    files = _value(arguments, "config_file") or in_file.get("config_file")
    if files is None:
        return
    content = ConfigParser.load_config_files(files)
    for name in (*_names(arguments), *in_file):
        path = name.removeprefix("+").replace("::", "#").split("#")
        if path[0] in inspect.signature(bundle_run).parameters:
            continue
        if not _has(content, path[:-1] if len(path) > 1 else path):
            maps = {key: part for key, part in content.items() if isinstance(part, Mapping)}
            near = [*content, *(f"{key}#{inner}" for key, part in maps.items() for inner in part)]
            raise ValueError(f"the configuration has no entry {name}{_meant(name, near)}")


def _args_file(file: str | None) -> dict[str, Any]:
    """The options in the file of ``--args_file``."""
    return {} if file is None or not Path(file).is_file() else dict(ConfigParser.load_config_file(file))


def _names(arguments: Iterable[str]) -> list[str]:
    """The options' names, without dashes and values; what follows a bare -- is fire's own."""
    names = []
    for word in arguments:
        if word == "--":
            break
        if word.startswith("--"):
            names.append(word[2:].split("=")[0])
    return names


def _value(arguments: Sequence[str], name: str) -> Any:
    """What is given for an option: text, or a list written as Python writes it."""
    for i, word in enumerate(arguments):
        if word.split("=")[0] == f"--{name}":
            text = word.partition("=")[2] or "".join(arguments[i + 1 : i + 2])
            return ast.literal_eval(text) if text.lstrip().startswith("[") else text
    return None


def _has(content: Any, path: Sequence[str]) -> bool:
    for step in path:
        if isinstance(content, Mapping) and step in content:
            content = content[step]
        elif isinstance(content, list) and step.isdigit() and int(step) < len(content):
            content = content[int(step)]
        else:
            return False
    return True


def _meant(name: str, known: Sequence[str]) -> str:
    last = [entry for entry in known if entry.split("#")[-1] == name]
    near = last or difflib.get_close_matches(name, known, n=1)
    return f"; did you mean --{near[0]}?" if near else ""
