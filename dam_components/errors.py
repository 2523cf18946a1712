"""One line for an error that a user can mend, in place of the stack of the framework that ran into it."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.dummy import DummyProcess
from pathlib import Path
from types import TracebackType

from dam_components.interrupts import exit_on_signals

__all__ = [
    "failure_reason",
    "first_line",
    "is_disk_full",
    "is_out_of_memory",
    "keep_traceback",
    "plain_errors",
    "plain_message",
]

FULL = (errno.ENOSPC, errno.EDQUOT)

PACKAGE = Path(__file__).parent


def plain_message(error: BaseException, packages: Sequence[Path] = (PACKAGE,)) -> str | None:
    """The message of the error that a package raised on purpose, the first in a chain of causes, else ``None``.

    MONAI wraps what goes wrong in a configuration in several errors of its own, and an error of ours may have its cause
    in a library.

    Args:
        error: what was raised.
        packages: folders of the packages whose errors are meant, by default this one alone.
    """
    for cause in _causes(error):
        frames = traceback.extract_tb(cause.__traceback__)
        ours = bool(frames) and any(map(Path(frames[-1].filename).is_relative_to, packages))
        if ours and isinstance(cause, (ValueError, OSError, ImportError)):
            return str(cause)
    return None


def plain_errors(packages: Sequence[Path] = ()) -> None:
    """From now on an uncaught error that this package raised on purpose ends the program with its message alone, and
    Ctrl-C or SIGTERM without one.

    The bundle's configurations call it in ``initialize``. An error of any other kind is one line too, with the file
    that has its traceback; the environment variable ``DAM_TRACEBACK`` shows it at once.

    Args:
        packages: folders of other packages whose errors are treated alike.
    """

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        message = plain_message(error, (PACKAGE, *packages))
        if message is not None:
            print(f"error: {message}", file=sys.stderr)
        elif os.environ.get("DAM_TRACEBACK"):
            sys.__excepthook__(kind, error, trace)
        else:
            where = keep_traceback(error)
            print(f"error: {failure_reason(error)} ({type(error).__name__}); all of it is in {where}", file=sys.stderr)
        # a thread of CacheDataset's that is still at work in C++ when Python ends would abort the process
        for thread in threading.enumerate():
            if isinstance(thread, DummyProcess):
                thread.join(timeout=10)

    sys.excepthook = hook
    exit_on_signals()


def keep_traceback(error: BaseException) -> Path:
    """Writes the traceback of an error, with those of its causes, to a file among the temporary ones."""
    lines = traceback.format_exception(error)
    with tempfile.NamedTemporaryFile(
        "w", prefix="dam-error-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
    ) as file:
        file.writelines(lines)
    return Path(file.name)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none.

    Example:
        >>> first_line(ValueError("no image\\nlook at the file")), first_line(EOFError())
        ('no image', 'EOFError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def failure_reason(error: BaseException) -> str:
    """One line for what went wrong first, of an error that libraries have wrapped in their own.

    Example:
        >>> try:
        ...     try:
        ...         raise MemoryError("no memory for 3 GB")
        ...     except MemoryError as first:
        ...         raise RuntimeError("applying transform Pad") from first
        ... except RuntimeError as error:
        ...     failure_reason(error)
        'no memory for 3 GB'
    """
    first = [*_causes(error)][-1]
    lines = str(first).strip().splitlines()
    # MONAI's SaveImage puts the text of its writer's traceback into its own error
    return lines[-1] if any(line.startswith("Traceback") for line in lines) else first_line(first)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had, of the machine or of the GPU.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
        True
    """
    words = ("can't allocate memory", "not enough memory", "out of memory", "Unable to allocate")
    return any(isinstance(cause, MemoryError) or any(word in str(cause) for word in words) for cause in _causes(error))


def is_disk_full(error: BaseException) -> bool:
    """Whether there is no space left, also where a library has kept the text of that error alone."""
    texts = [os.strerror(number) for number in FULL]
    return any(
        getattr(cause, "errno", None) in FULL or any(text in str(cause) for text in texts) for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
