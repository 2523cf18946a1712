"""Where the bundle of a command line lies, from any working directory."""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["find_bundle_root"]


def find_bundle_root(argv: Sequence[str] | None = None) -> str:
    """The bundle folder of ``python -m monai.bundle``, for ``"bundle_root": "$data.find_bundle_root()"``.

    MONAI does not tell a configuration where it lies, so the command line is read: ``--config_file``, or the one that
    ``--args_file`` names. With several configuration files the first one counts. For any other program it is the
    working directory, as everywhere in MONAI; a program that knows better sets ``bundle_root``.

    Args:
        argv: by default that of this process.

    Returns:
        The folder above the innermost ``configs`` on the file's path; without one, the file's own folder.

    Example:
        >>> find_bundle_root(["monai/bundle/__main__.py", "run", "--config_file", "/models/spleen/configs/train.json"])
        '/models/spleen'
        >>> find_bundle_root(["another_program.py"])
        '.'
    """
    argv = sys.argv if argv is None else argv
    if Path(argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py"):
        return "."
    files = _config_files(argv[1:])
    if not files:
        return "."
    file = Path(files[0]).absolute()
    return str(next((folder.parent for folder in file.parents if folder.name == "configs"), file.parent))


def _config_files(arguments: Sequence[str]) -> list[str]:
    """The names as python-fire and MONAI read them: one, a list as Python writes it, or with commas between."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config_file", "--config-file")
    parser.add_argument("--args_file", "--args-file")
    known, _ = parser.parse_known_args(list(arguments))
    files = known.config_file
    if files is None and known.args_file is not None:
        files = json.loads(Path(known.args_file).read_text(encoding="utf-8")).get("config_file")
    if isinstance(files, str) and files.lstrip()[:1] in ("[", "("):
        files = ast.literal_eval(files)
    if isinstance(files, str):
        files = [files] if Path(files).is_file() else files.split(",")
    return [str(file) for file in files or []]
