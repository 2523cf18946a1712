"""Every test process computes with one thread, since pytest -n runs several side by side, and keeps its locale."""

import locale
import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; subprocesses inherit it
STARTED = locale.setlocale(locale.LC_CTYPE)


@pytest.fixture(autouse=True)
def own_locale() -> Iterator[None]:
    """A library that one test loads may set the C locale for the process; the next test reads files in UTF-8 again."""
    locale.setlocale(locale.LC_CTYPE, STARTED)
    yield
    locale.setlocale(locale.LC_CTYPE, STARTED)
