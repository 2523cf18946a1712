"""Ctrl-C and a scheduler's SIGTERM as an end of its own: what is half written goes, and the status says why."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "exit_on_signals", "restore_signals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE_S = (
    3.0  # in which a second signal is the same one once more, from a terminal and from the process that started this
)
_last: list[float] = []  # when a signal was taken


class Interrupted(SystemExit):
    """Ends the program with the status that shells know: 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        signum: the signal.

    Example:
        >>> Interrupted(signal.SIGINT).code
        130
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.name = signal.Signals(signum).name

    def __str__(self) -> str:
        return f"interrupted ({self.name})"


def exit_on_signals() -> dict[int, Any]:
    """From now on SIGINT and SIGTERM raise :class:`Interrupted` wherever the program is, so every ``finally`` runs.

    A second signal within three seconds is passed over. Works in the main thread only, since only there Python takes
    signals; elsewhere (in a server) it does nothing.

    Returns:
        What the signals did before, for :func:`restore_signals`.
    """
    _last.clear()
    try:
        return {signum: signal.signal(signum, _interrupt) for signum in SIGNALS}
    except ValueError:  # not the main thread
        return {}


def restore_signals(before: dict[int, Any]) -> None:
    """Gives the signals back what :func:`exit_on_signals` has returned, and forgets it."""
    for signum, handler in before.items():
        signal.signal(signum, handler)
    before.clear()


def _interrupt(signum: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if not _last or now - _last[-1] > PATIENCE_S:
        _last.append(now)
        raise Interrupted(signum)
