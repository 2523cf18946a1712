"""The ``active_learning`` command: does it pay to label the cases first of which D is least confident?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.confidence.trained_bundle import comma_numbers, comma_words, named_entries, plain_values
from dam_study.active_learning.round_files import write_rounds
from dam_study.active_learning.rounds import LabellingPlan, Round, check_settings, simulate
from dam_study.active_learning.training import BundleLearner
from dam_study.confidence.study_facts import describe_machine, shell_command

__all__ = ["active_learning"]


def active_learning(
    bundle: str | None = None,
    data: str | None = None,
    output: str | None = None,
    start: int = 8,
    add: int = 8,
    rounds: int = 4,
    seeds: int | str | Sequence[int] = (0, 1, 2),
    strategies: str | Sequence[str] = ("confidence", "random"),
    epochs: int = 25,
    epoch_length: int = 10,
    warm_start: bool = False,
    overlay: str | Sequence[str] = (),
    fold: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Simulates labelling a few cases at a time, chosen by each strategy, and compares the Dice on the test cases.

    Round 0 trains S and D on cases drawn by the seed, the same for all strategies. Each later round adds the cases that
    the strategy picks among the fold's other training cases. Every training has the same number of iterations and is
    kept in OUTPUT/rounds: a command that was stopped goes on where it was, other seeds and strategies can be added
    with the same output, and seeds may run in processes of their own and be collected by a last command.

    Args:
        bundle: the bundle's folder; by default the project's, beside the package.
        data: the dataset, Decathlon layout; by default the configuration's.
        output: gets rounds.csv, cases.csv, active_learning.md and active_learning.png; by default
            output/active_learning in the bundle.
        start: labelled cases of round 0.
        add: cases labelled after each round.
        rounds: after round 0.
        seeds: of the drawn cases and the trainings, separated by commas.
        strategies: of confidence, softmax and random, separated by commas.
        epochs: of each training.
        epoch_length: iterations of an epoch.
        warm_start: go on from the weights of the round before, in place of training from scratch.
        overlay: configuration files on top, tasks/promise12.json for instance, separated by commas.
        fold: by default the configuration's.
        overrides: other entries of the configuration by name: '{"amp": true}'.

    Raises:
        ValueError: for an option out of range, or an output folder that holds a simulation with other settings.
        FileNotFoundError: without the bundle or the data.
    """
    asked = {**locals(), "overrides": plain_values(overrides)}
    if str(warm_start).lower() not in ("true", "false"):
        raise ValueError(f"warm_start must be true or false, got {warm_start!r}")
    drawn = tuple(dict.fromkeys(comma_numbers(seeds, "seeds")))
    plan = LabellingPlan(start, add, rounds, drawn, tuple(dict.fromkeys(comma_words(strategies))))
    entries = named_entries(data, None, None, fold, asked["overrides"])
    warm = str(warm_start).lower() == "true"
    root = bundle_folder(bundle)
    learner = BundleLearner(root, comma_words(overlay), entries, epochs, epoch_length, warm)
    plan.check_cases(len(learner.train_cases))
    settings = {
        **{name: asked[name] for name in ("start", "add", "rounds", "epochs", "epoch_length")},
        "warm_start": warm,
        "train_cases": learner.train_cases,
        "test_cases": learner.test_cases,
        **learner.configuration,
    }
    folder = root / "output" / "active_learning" if output is None else Path(output)
    check_settings(folder, settings)
    facts = {
        "command": shell_command("active_learning", asked),
        **learner.facts,
        "seeds": ", ".join(map(str, plan.seeds)),
        "Dice": "of S's output on S's grid, nothing inverted; standard deviations are over seeds, the interval is 95 % "
        "by bootstrap over test cases",
        "machine": describe_machine(learner.device),
    }
    text = ""
    for finished in simulate(learner.train_cases, plan, learner, folder / "rounds", _tell):
        text = write_rounds(folder, finished, learner.class_names, plan.strategies, facts)
    print(text)


def _tell(one: Round) -> None:
    mean = sum(sum(dice) / len(dice) for dice in one.dice.values()) / len(one.dice)
    print(
        f"seed {one.seed}, round {one.round}, {one.strategy}: {len(one.labelled)} labelled, mean Dice {mean:.4f} "
        f"({one.seconds:.0f} s)",
        flush=True,
    )
