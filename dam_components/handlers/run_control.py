"""Handlers that keep a long run in hand: seeded epochs and a clean stop."""

from __future__ import annotations

import logging
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import set_rnd
from monai.engines import Trainer
from monai.utils import set_determinism

from dam_components.interrupts import Interrupted, exit_on_signals, restore_signals

__all__ = ["SeedEpochs", "StopOnInterrupt"]


logger = logging.getLogger(__name__)


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
        loader: Any = getattr(engine.state, "dataloader", None)
        if hasattr(loader, "__len__") and len(loader) != engine.state.epoch_length:
            engine.set_data(loader)  # the epoch before ended half-way through the cases, in an order of its own seed


class StopOnInterrupt:
    """Ctrl-C, or the SIGTERM of a scheduler, ends the run at once, with status 130 or 143 and a line that says so.

    Give it to the trainer, and to the evaluator within it, before the other handlers. Nothing is saved at that moment:
    an older model stays as it was, and the run can go on from :class:`RunSaver`'s last whole epoch. Works in the main
    thread only, since only there Python takes signals; elsewhere (in a server) it does nothing.
    """

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}  # what the signals did; a handler that fails before `started` finds it too

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the trainer."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.COMPLETED, self.restore)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.failed)

    def started(self, engine: Engine) -> None:
        """Takes over Ctrl-C and SIGTERM."""
        self.before = exit_on_signals()

    def restore(self, engine: Engine) -> None:
        """Gives the signals back."""
        restore_signals(self.before)

    def failed(self, engine: Engine, error: BaseException) -> None:
        """Gives the signals back, says what is kept, and lets the error pass."""
        self.restore(engine)
        if isinstance(error, Interrupted) and isinstance(engine, Trainer):
            whole = engine.state.epoch - 1  # validation is part of its epoch
            remedy = f"go on after epoch {whole} with --resume True" if whole else "start it again"
            logger.warning(
                "interrupted (%s) in epoch %d of %s: no model was written or replaced; %s",
                *(error.name, engine.state.epoch, engine.state.max_epochs, remedy),
            )
        raise error
