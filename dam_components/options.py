"""Options of ``python -m monai.bundle run`` that name nothing: refused in one line, before any work."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from monai.bundle import ConfigParser

from dam_components.bundle_command import command_files, command_overrides

__all__ = ["check_bundle_options", "check_processes"]


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
    files = command_files(argv)
    if list(argv[1:2]) != ["run"] or not files:
        return
    content = ConfigParser.load_config_files([str(file) for file in files])
    for name in command_overrides(argv):
        path = name.removeprefix("+").replace("::", "#").split("#")
        if not _has(content, path[:-1] if len(path) > 1 else path):
            maps = {key: part for key, part in content.items() if isinstance(part, Mapping)}
            near = [*content, *(f"{key}#{inner}" for key, part in maps.items() for inner in part)]
            raise ValueError(f"the configuration has no entry {name}{_meant(name, near)}")


def check_processes(optimizer: Any) -> None:
    """Refuses several processes for a training in which S does not learn: they would begin with an untrained S.

    Args:
        optimizer: of S, or ``None``.

    Raises:
        ValueError: S has no optimizer.
    """
    if optimizer is None:
        raise ValueError(
            "multi_gpu_train.json trains S and D together, and S does not train here (train_confidence.json): D would "
            "learn behind an untrained S, which would replace the trained one; leave multi_gpu_train.json out"
        )


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
