"""The command line of ``python -m monai.bundle``, read as MONAI itself reads it."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["command_files", "command_options", "command_overrides"]


def command_options(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The options by name, on top of those in the file that ``--args_file`` names; none for any other program.

    Args:
        argv: by default that of this process.

    Example:
        >>> command_options(["monai/bundle/__main__.py", "run", "--config_file", "a.json", "--channels", "[8, 16]"])
        {'config_file': 'a.json', 'channels': [8, 16]}
        >>> command_options(["another_program.py", "--config_file", "a.json"])
        {}
    """
    argv = sys.argv if argv is None else argv
    if Path(argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py"):
        return {}
    from fire import Fire  # as MONAI; other programs need it not

    given: dict[str, Any] = {}
    Fire(lambda *words, **options: given.update(options), command=list(argv[2:]))
    file = given.pop("args_file", None)
    if file is None or not Path(file).is_file():  # MONAI says so
        return given
    from monai.bundle import ConfigParser

    return {**ConfigParser.load_config_file(file), **given}


def command_files(argv: Sequence[str] | None = None) -> list[Path]:
    """The configuration files in their order: one name, a list, or names with commas between."""
    files = command_options(argv).get("config_file") or []
    if isinstance(files, str) and files.lstrip()[:1] in ("[", "("):  # fire leaves what it cannot read as text
        files = ast.literal_eval(files)
    if isinstance(files, str):
        files = [files] if Path(files).is_file() else files.split(",")
    return [Path(file) for file in files]


def command_overrides(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The options that replace entries of the configuration."""
    from monai.bundle import run

    own = inspect.signature(run).parameters
    return {name: value for name, value in command_options(argv).items() if name not in own}
