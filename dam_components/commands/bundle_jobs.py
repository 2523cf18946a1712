"""Running the bundle's configurations from Python, just as a person runs them from a shell."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dam_components.interrupts import Interrupted

__all__ = ["bundle_folder", "bundle_words", "run_bundle", "run_command", "shell_line"]

LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1
# called in the new process: when the one that has started it is killed, so is this one
END_WITH_PARENT = None if LIBC is None else partial(LIBC.prctl, PR_SET_PDEATHSIG, signal.SIGKILL)
KNOWN_WARNING = "ignore:parsing config_file:UserWarning"
_started: list[int] = []
BESIDE_PACKAGE = Path(__file__).resolve().parents[2] / "bundle"


def bundle_folder(bundle: str | os.PathLike | None = None) -> Path:
    """The bundle to run: the one named, or in a source checkout the one beside the package.

    Args:
        bundle: a folder that holds ``configs/train.json``.

    Raises:
        FileNotFoundError: if it is no bundle, or none is named and the package was installed without one.
    """
    folder = BESIDE_PACKAGE if bundle is None else Path(bundle).absolute()
    if (folder / "configs" / "train.json").is_file():
        return folder
    if bundle is None:
        raise FileNotFoundError(
            f"no bundle at {folder}: an installed package holds none; name a copy of the project's bundle folder "
            "with --bundle"
        )
    raise FileNotFoundError(f"{folder} is no bundle: it has no configs/train.json; name another with --bundle")


def shell_line(command: Sequence[str]) -> str:
    """The command as a shell takes it.

    Example:
        >>> print(shell_line(["run", "--config_file", "['a.json', 'b.json']", "--seed", "0"]))
        run --config_file "['a.json', 'b.json']" --seed 0
    """
    awkward = set('"$`\\!')
    # shlex.quote makes five characters of every quote within a list
    quoted = (f'"{word}"' if "'" in word and awkward.isdisjoint(word) else shlex.quote(word) for word in command)
    return " ".join(quoted)


def bundle_words(configs: Sequence[str | os.PathLike], entries: Mapping[str, Any]) -> tuple[str, ...]:
    """``monai.bundle run`` with these configurations and entries, after the interpreter's name."""
    words = ["-m", "monai.bundle", "run", "--config_file", str([str(Path(file).absolute()) for file in configs])]
    for name, value in entries.items():
        words += [f"--{name}", str(value)]
    return tuple(words)


def run_bundle(configs: Sequence[str | os.PathLike], **overrides: Any) -> None:
    """Prints and runs ``python -m monai.bundle run`` with these configurations, later ones on top of earlier ones.

    A process of its own, since a run sets seeds, signal and error handling, logging and ``sys.path`` for the whole
    process, and since the line printed is then all it takes to run the step again.

    Args:
        configs: configuration files.
        overrides: entries of the configuration by name.

    Raises:
        SystemExit: with the status of a run that failed; 130 after Ctrl-C, once the run has kept what it has.
    """
    run_command([sys.executable, *bundle_words(configs, overrides)])


def run_command(command: Sequence[str], remark: str = "") -> None:
    """Prints and runs a command, which ends when this process does, however that happens.

    MONAI's warning that a configuration is code is shown at the first command alone.

    Args:
        command: the words.
        remark: printed behind them, as a shell's comment.

    Raises:
        SystemExit: with the status of a command that failed; 130 after Ctrl-C.
    """
    environment = {**os.environ, **({"PYTHONWARNINGS": KNOWN_WARNING} if _started else {})}
    _started.append(1)
    print(f"$ {shell_line(command)}{f'  # {remark}' if remark else ''}", flush=True)
    with subprocess.Popen(command, env=environment, preexec_fn=END_WITH_PARENT) as process:
        try:
            status = process.wait()
        except (KeyboardInterrupt, Interrupted) as stop:
            process.terminate()  # where a terminal has sent Ctrl-C to both, the run passes over this one
            process.wait()
            status = getattr(stop, "code", 130)
    if status:
        raise SystemExit(status)
