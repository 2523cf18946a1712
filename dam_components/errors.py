"""One line for an error that a user can mend, in place of the stack of the framework that ran into it."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Sequence
from multiprocessing.dummy import DummyProcess
from pathlib import Path
from types import TracebackType

__all__ = ["plain_errors", "plain_message"]

PACKAGE = Path(__file__).parent


def plain_message(error: BaseException, packages: Sequence[Path] = (PACKAGE,)) -> str | None:
    """The message of the error that a package raised on purpose, the first in a chain of causes, else ``None``.

    MONAI wraps what goes wrong in a configuration in several errors of its own, and an error of ours may have its cause
    in a library.

    Args:
        error: what was raised.
        packages: folders of the packages whose errors are meant, by default this one alone.
    """
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        ours = bool(frames) and any(map(Path(frames[-1].filename).is_relative_to, packages))
        if ours and isinstance(cause, (ValueError, OSError, ImportError)):
            return str(cause)
        cause = cause.__cause__
    return None


def plain_errors(packages: Sequence[Path] = ()) -> None:
    """From now on an uncaught error that this package raised on purpose ends the program with its message alone.

    The bundle's configurations call it in ``initialize``. Errors of any other kind keep their traceback.

    Args:
        packages: folders of other packages whose errors are treated alike.
    """

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        message = plain_message(error, (PACKAGE, *packages))
        if message is None:
            sys.__excepthook__(kind, error, trace)
        else:
            print(f"error: {message}", file=sys.stderr)
        # a thread of CacheDataset's that is still at work in C++ when Python ends would abort the process
        for thread in threading.enumerate():
            if isinstance(thread, DummyProcess):
                thread.join(timeout=10)

    sys.excepthook = hook
