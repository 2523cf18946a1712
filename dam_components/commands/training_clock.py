"""The stages of a training with their share of the work, and the time that is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dam_components.commands.training_stages import Stage
from dam_components.handlers.checkpoints import checkpoints, epoch_of

__all__ = ["TrainingClock"]

FIRST_S, LOOK_S = 60.0, 2.0


class TrainingClock:
    """Says what part of the work each stage is, and after the first minute how long the rest takes.

    Shares are computed from numbers of steps; the time left is what the work done so far has taken, by proportion. A
    stage that is under way counts by the epochs that it has saved.

    Args:
        stages: all of them.
        done: names of those that were done before.

    Example:
        >>> stage = Stage("S", "S and a first D", ("-c", "pass"), (), work=3.0)
        >>> clock = TrainingClock([stage, Stage("D", "D", ("-c", "pass"), ())], done=["D"])
        >>> print(clock.table())
        stages, with their share of the work:
          S             75 %  S and a first D
          D             25 %  D (done)
    """

    def __init__(self, stages: Sequence[Stage], done: Sequence[str] = ()) -> None:
        self.stages = stages
        self.done = set(done)
        self.worked, self.seconds = 0.0, 0.0  # in this process
        self.total = sum(stage.work for stage in stages) or 1.0

    def table(self) -> str:
        """The stages, one a line."""
        lines = ["stages, with their share of the work:"]
        for stage in self.stages:
            mark = " (done)" if stage.name in self.done else ""
            lines.append(f"  {stage.name:<12} {stage.work / self.total:4.0%}  {stage.title}{mark}".replace("%", " %"))
        return "\n".join(lines)

    @contextmanager
    def running(self, stage: Stage) -> Iterator[str]:
        """Within, the stage runs. Gives the time left; a line has it once the first minute is over."""
        over, begin, epoch = threading.Event(), time.monotonic(), _saved_epoch(stage)
        if self.seconds <= FIRST_S:
            threading.Thread(target=self._watch, args=(stage, over, begin, epoch), daemon=True).start()
        try:
            yield self.left(0.0, 0.0) if self.seconds > FIRST_S else ""
        finally:
            over.set()
        self.done.add(stage.name)
        self.seconds += time.monotonic() - begin
        self.worked += stage.work * (1 - epoch / stage.epochs if stage.epochs else 1)

    def left(self, worked: float, seconds: float) -> str:
        """The time left in words, with what the present stage has done so far."""
        pace = (self.seconds + seconds) / (self.worked + worked)
        left = sum(stage.work for stage in self.stages if stage.name not in self.done) - worked
        return f"about {duration(pace * max(left, 0.0))} left for all stages"

    def _watch(self, stage: Stage, over: threading.Event, begin: float, before: int) -> None:
        while not over.wait(LOOK_S):
            seconds = time.monotonic() - begin
            worked = stage.work * (_saved_epoch(stage) - before) / max(stage.epochs, 1)
            if self.seconds + seconds > FIRST_S and self.worked + worked > 0:
                print(self.left(worked, seconds), flush=True)
                return


def duration(seconds: float) -> str:
    """In words.

    Example:
        >>> duration(50), duration(4000), duration(90000)
        ('1 min', '1 h 7 min', '25 h 0 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _saved_epoch(stage: Stage) -> int:
    files = [] if stage.run_dir is None else checkpoints(stage.run_dir)
    return max((epoch_of(file) for file in files), default=0)
