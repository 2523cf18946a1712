"""Work in a process of its own that has its imports already: status, what it printed, and its peak memory."""

from __future__ import annotations

import gc
import os
import resource
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Ended", "forked", "measured", "run_command", "started"]

LIMIT_S = 300


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        status: as a shell tells it; negative: the signal.
        told: standard output and error.
        grown_mb: peak of its memory beyond what it began with, in MB.
        processor_s: seconds that it computed.
    """

    status: int
    told: str
    grown_mb: float
    processor_s: float = 0.0

    @property
    def has_traceback(self) -> bool:
        """Whether it printed one, or died."""
        return self.status < 0 or "Traceback (most recent call last)" in self.told

    def errors(self) -> list[str]:
        """Its lines of error."""
        return [line for line in self.told.splitlines() if line.startswith(("error: ", "  /"))]


def run_command(words: Sequence[str]) -> None:
    """What ``python -m`` does with these words, in this process."""
    sys.argv = [*words]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def forked(work: Callable[[], None], log: Path) -> Ended:
    """Does the work in a fork of this process.

    A fork shares the memory of what was imported, so a command takes as long as its work. This process must have no
    other thread.

    Args:
        work: what is done; an uncaught error ends the process as Python does, through ``sys.excepthook``.
        log: file for what it prints.
    """
    gc.collect()  # what the fork would free of this process's garbage would hide what its work takes
    sys.stdout.flush()
    sys.stderr.flush()
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.write(writes, str(psutil.Process().memory_info().rss).encode())
        _in_child(work, log)
    os.close(writes)
    with os.fdopen(reads) as stream:
        begin = int(stream.read()) / 1e6
    _, code, used = os.wait4(child, 0)
    return _ended(code, log, used, begin)


def started(words: Sequence[str], log: Path) -> Ended:
    """Runs ``python -m`` with these words in a new interpreter."""
    return measured([sys.executable, "-m", *words], log)


def measured(command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> Ended:
    """Runs a command; its children that it has waited for count too, of their memory the largest one's.

    Args:
        command: and its words.
        log: file for what it prints.
        variables: of its environment, beside those of this process.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env={**os.environ, **(variables or {})})
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    return _ended(code, log, used, 0.0)


def _ended(code: int, log: Path, used: resource.struct_rusage, begin_mb: float) -> Ended:
    told = log.read_text(encoding="utf-8", errors="replace")
    grown_mb = max(0.0, used.ru_maxrss * 1.024 / 1e3 - begin_mb)
    return Ended(os.waitstatus_to_exitcode(code), told, grown_mb, used.ru_utime + used.ru_stime)


def _in_child(work: Callable[[], None], log: Path) -> None:
    """Never returns."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(stream, number)
    sys.stdout = sys.stderr = os.fdopen(stream, "w", buffering=1, encoding="utf-8")
    signal.alarm(LIMIT_S)  # a work that hangs ends by its signal
    status = 1
    try:
        work()
        status = 0
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except Exception:
            traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
