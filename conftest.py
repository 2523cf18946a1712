"""Every test process computes with one thread, since pytest -n runs several side by side, and keeps its settings."""

import locale
import os
import signal
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; subprocesses inherit it
STARTED = locale.setlocale(locale.LC_CTYPE)
SIGNALS = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}


def put_back() -> None:
    """The locale, what Ctrl-C and SIGTERM do, and how an uncaught error is told."""
    sys.excepthook = sys.__excepthook__
    locale.setlocale(locale.LC_CTYPE, STARTED)
    for signum, handler in SIGNALS.items():
        signal.signal(signum, handler)


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """What a library or a configuration sets for the whole process in one test, the next test finds as it was."""
    put_back()
    yield
    put_back()
