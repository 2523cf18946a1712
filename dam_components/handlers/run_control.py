"""Handlers that keep a long run in hand: seeded epochs and a clean stop."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import set_rnd
from monai.utils import set_determinism

__all__ = ["SeedEpochs", "StopOnInterrupt"]


class SeedEpochs:
    """Seeds Python, NumPy, PyTorch and MONAI's random transforms anew at the start of every epoch.

    An epoch's shuffling and augmentation then depend on the seed and the epoch's number alone, so a run resumed after
    epoch n goes on exactly as if it had never stopped. Under ``torch.distributed`` every rank augments differently.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        seed = (self.seed * 1_000_003 + engine.state.epoch * 1009 + getattr(engine.state, "rank", 0)) % 2**31
        # set_determinism would also force deterministic kernels, which is the user's choice to make
        deterministic = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
        set_determinism(seed=seed)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic
        # workers are seeded from PyTorch's generator when they start; without workers the transforms live here
        set_rnd(getattr(getattr(engine, "data_loader", None), "dataset", None), seed)


class StopOnInterrupt:
    """Ctrl-C ends the training after the present iteration, as if it had been the last: handlers that save do so.

    A second Ctrl-C interrupts at once. Works in the main thread only, since only there Python takes signals; elsewhere
    (in a server) it does nothing.
    """

    def __init__(self) -> None:
        self.before: Any = None  # what SIGINT did; a handler that fails before `started` finds it too

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the trainer."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.COMPLETED, self.restore)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.failed)

    def started(self, engine: Engine) -> None:
        """Takes over Ctrl-C."""

        def interrupt(signum: int, frame: FrameType | None) -> None:
            engine.logger.warning("Interrupted: stopping after this iteration. Press Ctrl-C again to stop at once.")
            self.restore(engine)
            engine.terminate()

        try:
            self.before = signal.signal(signal.SIGINT, interrupt)
        except ValueError:  # not the main thread
            self.before = None

    def restore(self, engine: Engine) -> None:
        """Gives Ctrl-C back."""
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
            self.before = None

    def failed(self, engine: Engine, error: BaseException) -> None:
        """Gives Ctrl-C back, and lets the error pass."""
        self.restore(engine)
        raise error
