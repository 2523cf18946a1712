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
        """Within, the stage runs. Gives the time left where the pace is known; else a line has it as soon as it is."""
        over, begin, before = threading.Event(), time.monotonic(), _saved_share(stage)
        left = self.left(stage, before, before, 0.0)
        if not left:
            threading.Thread(target=self._watch, args=(stage, over, begin, before), daemon=True).start()
        try:
            yield left
        finally:
            over.set()
            self.done.add(stage.name)  # where it failed and is optional, nothing of it is left
        self.seconds += time.monotonic() - begin
        self.worked += stage.work * (1 - before)

    def left(self, stage: Stage, before: float, share: float, seconds: float) -> str:
        """The time left in words; empty in the first minute, and until some work is done.

        Args:
            stage: the present one.
            before: the share of it that an earlier run has done.
            share: the share of it that is done.
            seconds: how long it has run.
        """
        worked, seconds = self.worked + stage.work * (share - before), self.seconds + seconds
        if seconds <= FIRST_S or worked <= 0:
            return ""
        left = sum(other.work for other in self.stages if other.name not in self.done) - stage.work * share
        return f"about {duration(seconds / worked * max(left, 0.0))} left for all stages"

    def _watch(self, stage: Stage, over: threading.Event, begin: float, before: float) -> None:
        while not over.wait(LOOK_S):
            if line := self.left(stage, before, _saved_share(stage), time.monotonic() - begin):
                print(line, flush=True)
                return


def duration(seconds: float) -> str:
    """In words.

    Example:
        >>> duration(50), duration(4000), duration(90000)
        ('1 min', '1 h 7 min', '25 h 0 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _saved_share(stage: Stage) -> float:
    """The share of a stage's epochs that is saved; 0 where their number is not known before it runs."""
    files = [] if stage.run_dir is None else checkpoints(stage.run_dir)
    saved = max((epoch_of(file) for file in files), default=0)
    return min(saved / stage.epochs, 1.0) if stage.epochs else 0.0
