"""Active learning simulated: which cases get labelled round by round, and what is kept of each training."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dam_components.atomic_files import write_whole
from dam_components.metrics import least_confident_first

__all__ = ["STRATEGIES", "Learner", "LabellingPlan", "Round", "check_settings", "simulate"]

STRATEGIES = {
    "confidence": "the cases of lowest case_confidence by P̂ and M first, as inference orders them",
    "softmax": "the same, with S's largest probability in place of M",
    "random": "cases drawn by the seed",
}
SCORES = tuple(name for name in STRATEGIES if name != "random")
SHARED = "start"  # the strategy of round 0, whose training is the same for all


@dataclass(frozen=True)
class LabellingPlan:
    """What is simulated.

    Attributes:
        start: labelled cases of round 0.
        add: cases labelled after each round but the last.
        rounds: after round 0.
        seeds: of the drawn cases and of the trainings.
        strategies: of :data:`STRATEGIES`.

    Raises:
        ValueError: a number is below 1, a strategy unknown, or there is no seed or strategy.
    """

    start: int
    add: int
    rounds: int
    seeds: tuple[int, ...]
    strategies: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("start", "add", "rounds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number, at least 1, got {value!r}")
        for name in self.strategies or ("",):
            if name not in STRATEGIES:
                raise ValueError(f"strategies must be of {', '.join(STRATEGIES)}, separated by commas, got {name!r}")
        if not self.seeds:
            raise ValueError("seeds must be whole numbers separated by commas, got none")

    def check_cases(self, count: int) -> None:
        """Raises ``ValueError`` where there are too few cases for the plan."""
        needed = self.start + self.rounds * self.add
        if needed > count:
            raise ValueError(
                f"start + rounds * add must be at most the {count} training cases of the fold, got {needed}: "
                "lower --start, --rounds or --add"
            )


@dataclass(frozen=True)
class Round:
    """One training and what came of it.

    Attributes:
        strategy: that chose the cases; ``start`` in round 0.
        seed: of the simulation.
        round: from 0.
        labelled: the cases trained on, in the order in which they were labelled.
        dice: of each test case, a value a class.
        predicted: ``case_confidence`` of each unlabelled case, by the strategy that needs it.
        seconds: that all of it took.
    """

    strategy: str
    seed: int
    round: int
    labelled: tuple[str, ...]
    dice: dict[str, list[float]]
    predicted: dict[str, dict[str, float]]
    seconds: float

    @staticmethod
    def file_name(strategy: str, seed: int, number: int) -> str:
        """Of the round's files, without their endings."""
        return f"seed{seed}_round{number}_{strategy}.json"


class Learner(Protocol):
    """Trains on labelled cases and judges what came of it."""

    def __call__(
        self,
        labelled: Sequence[str],
        unlabelled: Sequence[str],
        scores: Sequence[str],
        seed: int,
        start_from: Path | None,
        save_to: Path,
    ) -> tuple[dict[str, list[float]], dict[str, dict[str, float]], float]:
        """``dice``, ``predicted`` and ``seconds`` of a :class:`Round`.

        Args:
            labelled: cases to train on.
            unlabelled: cases to score.
            scores: strategies to score them for; may be none.
            seed: of the training.
            start_from: what ``save_to`` was in the round before; ``None`` in round 0.
            save_to: path without suffix for what the next round may start from.
        """


def simulate(
    cases: Sequence[str],
    plan: LabellingPlan,
    learn: Learner,
    folder: str | os.PathLike,
    told: Callable[[Round], None] = lambda _: None,
) -> Iterator[list[Round]]:
    """Runs the plan and yields, after each seed, the rounds of all seeds so far.

    All strategies of a seed start from the same cases and share the training of round 0. Each training is kept as a
    JSON file, so a simulation that was stopped goes on where it was, and seeds may run at the same time in processes
    of their own.

    Args:
        cases: that can be labelled.
        plan: what to do.
        learn: one training.
        folder: of the kept rounds; made if missing.
        told: called with each round, new or kept.

    Raises:
        ValueError: too few cases, or a kept round is damaged or of another simulation.
    """
    plan.check_cases(len(cases))
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    done: list[Round] = []

    def one(strategy: str, seed: int, number: int, labelled: tuple[str, ...], before: Path | None) -> Round:
        file = path / Round.file_name(strategy, seed, number)
        if not file.exists():
            last = number == plan.rounds
            # all scores of the shared round: a strategy can then be added later
            scores = SCORES if number == 0 else () if last or strategy == "random" else (strategy,)
            rest = [case for case in sorted(cases) if case not in labelled]
            found = learn(labelled, rest, scores, seed, before, file.with_suffix(""))
            one = asdict(Round(strategy, seed, number, labelled, *found))
            write_whole(file, json.dumps(one, indent=1) + "\n")
        finished = _read(file)
        if (finished.strategy, finished.seed, finished.round, finished.labelled) != (strategy, seed, number, labelled):
            raise ValueError(f"{file} does not follow from the round before it: delete it and the rounds after it")
        told(finished)
        done.append(finished)
        return finished

    for seed in plan.seeds:
        order = [str(case) for case in np.random.default_rng(seed).permutation(sorted(cases))]
        first = one(SHARED, seed, 0, tuple(order[: plan.start]), None)
        latest = dict.fromkeys(plan.strategies, first)
        for number in range(1, plan.rounds + 1):
            for strategy, before in latest.items():
                chosen = order if strategy == "random" else least_confident_first(before.predicted[strategy])
                new = [case for case in chosen if case not in before.labelled][: plan.add]
                kept = path / Path(Round.file_name(before.strategy, seed, number - 1)).stem
                latest[strategy] = one(strategy, seed, number, (*before.labelled, *new), kept)
        yield list(done)


def check_settings(folder: str | os.PathLike, settings: Mapping[str, Any]) -> None:
    """Keeps the settings of a simulation with its rounds, or compares them with those kept.

    Args:
        folder: of the simulation; made if missing.
        settings: plain values.

    Raises:
        ValueError: other settings are kept there; the message names the first that differs.
    """
    file = Path(folder) / "settings.json"
    asked = json.loads(json.dumps(settings))
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(asked, indent=1) + "\n")
        return
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}): delete the folder or name another --output") from error
    if kept != asked:
        name, before, now = _difference(kept, asked)
        raise ValueError(
            f"{folder} holds a simulation with another {name}, {_short(before)}, not {_short(now)}: name another "
            "--output"
        )


def _difference(one: Any, other: Any, name: str = "") -> tuple[str, Any, Any]:
    """The id of the first entry that differs, as the configuration writes it, and what it is in both."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                return _difference(one.get(key), other.get(key), f"{name}#{key}".lstrip("#"))
    return name, one, other


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _read(file: Path) -> Round:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Round(**{**content, "labelled": tuple(content["labelled"])})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}): delete it and run the command again") from error
