"""Where the bundle of a command line lies, from any working directory."""

from __future__ import annotations

from collections.abc import Sequence

from dam_components.bundle_command import command_files

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
    files = command_files(argv)
    if not files:
        return "."
    file = files[0].absolute()
    return str(next((folder.parent for folder in file.parents if folder.name == "configs"), file.parent))
