"""How far a training is: one bar over all of it with loss, Dice and time left, and a line in the log now and then."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine, Events
from tqdm import tqdm

__all__ = ["TrainingProgress"]

INTERVAL_S = 1.0  # between two updates of the bar
FIRST_S = 20.0  # of steps that the training's time is estimated from, after one to get started
SHORT_H, LONG_H = 0.1, 48.0
LINES, LINES_UNJUDGED = 20, 2  # at most, of a whole training with and without validations

logger = logging.getLogger(__name__)


class TrainingProgress:
    """Bar over all iterations of a training, and a line in the log at every validation, twenty of them at most.

    A training without validations gets two lines.

    Ignite's ``ProgressBar`` begins again in each epoch, so its time left is that of the epoch, and MONAI's
    ``StatsHandler`` writes the loss at every iteration or not at all. Give it to the trainer after the
    ``ValidationHandler``. After the first steps the log says how long all of them take; a training of more than two
    days is a warning, with what to do.

    Args:
        desc: what is trained.
        loss: gives the loss of the trainer's output.
        validator: the evaluator whose key metric is shown.
        interval: epochs from one validation to the next.
    """

    def __init__(
        self, desc: str, loss: Callable[[Any], Any], validator: Engine | None = None, interval: int = 1
    ) -> None:
        self.desc = desc
        self.loss = loss
        self.validator = validator
        self.interval = interval
        self.bar: tqdm | None = None
        self.updated = 0.0  # when; the loss is taken from the GPU no oftener than it is shown
        self.sum: torch.Tensor | float = 0.0  # of this epoch's losses
        self.count = 0
        self.first: tuple[float, int] | None = None  # when the steps that are timed began, and at which

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the trainer."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.advance)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write_line)
        engine.add_event_handler(Events.COMPLETED, self.close)

    def started(self, engine: Engine) -> None:
        """Opens the bar where the run begins, which may be one that goes on."""
        total = (engine.state.epoch_length or 0) * (engine.state.max_epochs or 1)
        self.bar = tqdm(total=total, initial=engine.state.iteration, desc=self.desc, mininterval=INTERVAL_S)

    def begin_epoch(self, engine: Engine) -> None:
        """Forgets the losses of the epoch before."""
        self.sum, self.count = 0.0, 0

    def advance(self, engine: Engine) -> None:
        """One iteration further."""
        self.sum = self.sum + torch.as_tensor(self.loss(engine.state.output)).detach()
        self.count += 1
        now = time.monotonic()
        self.tell_time(engine, now)
        if self.bar is None:
            return
        if now - self.updated > INTERVAL_S:
            self.updated = now
            self.bar.set_postfix(self.state_shown(engine), refresh=False)
        self.bar.update()

    def tell_time(self, engine: Engine, now: float) -> None:
        """Says once, from the steps since the first, how long the training takes."""
        state = engine.state
        total = (state.epoch_length or 0) * (state.max_epochs or 1)
        if self.first is None:
            self.first = now, state.iteration
            return
        begin, before = self.first
        if now - begin < FIRST_S or math.isinf(begin) or state.iteration >= total:
            return
        self.first = math.inf, before  # said
        step_s = (now - begin) / (state.iteration - before)
        hours = step_s * (total - state.iteration) / 3600
        told = f"{self.desc}: {total - state.iteration} steps of {step_s:.2g} s are left: about {hours:.2g} hours"
        if hours <= LONG_H:
            logger.log(logging.INFO if hours >= SHORT_H else logging.DEBUG, "%s, without validation", told)
            return
        epochs = max(1, int(LONG_H * 3600 / step_s / (state.epoch_length or 1)))
        logger.warning(
            "%s, too long for this machine. Stop it with Ctrl-C, and take a GPU, --epochs %d, or narrower networks "
            "(--channels)",
            *(told, epochs),
        )

    def state_shown(self, engine: Engine) -> dict[str, str]:
        """What the bar shows: the epoch and the figures."""
        return {"epoch": f"{engine.state.epoch}/{engine.state.max_epochs}", **self.figures()}

    def figures(self) -> dict[str, str]:
        """The epoch's mean loss so far, and the key metric of the last validation."""
        shown = {"loss": f"{float(self.sum) / max(self.count, 1):.4f}"}
        if self.validator is not None:
            name = getattr(self.validator.state, "key_metric_name", None)
            metric = self.validator.state.metrics.get(str(name))
            shown |= {} if metric is None else {str(name): f"{float(metric):.4f}"}
        return shown

    def write_line(self, engine: Engine) -> None:
        """The epoch's figures in the log, where a validation has given new ones."""
        epoch, epochs = engine.state.epoch, engine.state.max_epochs or 1
        lines, interval = (LINES_UNJUDGED, 1) if self.validator is None else (LINES, self.interval)
        every = max(1, math.ceil(epochs / lines / interval)) * interval
        if epoch % every == 0 or epoch == epochs:
            shown = ", ".join(f"{name} {value}" for name, value in self.figures().items())
            logger.info("%s: epoch %d of %d: %s", self.desc, epoch, epochs, shown)

    def close(self, engine: Engine) -> None:
        """Leaves the bar with the last figures."""
        if self.bar is not None:
            self.bar.set_postfix(self.state_shown(engine))
            self.bar.close()
