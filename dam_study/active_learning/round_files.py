"""The files of a simulated active learning: rounds.csv, cases.csv, and the table and curves made from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dam_components.atomic_files import write_whole
from dam_components.confidence.evidence_table import markdown_table
from dam_components.figures.pictures import COLOURS, save_figure
from dam_components.metrics import bootstrap_pooled, percentile_interval
from dam_components.metrics.case_table import read_cases_csv
from dam_study.active_learning.rounds import STRATEGIES, Round

__all__ = ["case_dice", "draw_rounds", "gain_over_random", "round_table", "write_rounds"]

RESAMPLES = 2000


def case_dice(rounds: Sequence[Round], class_names: Sequence[str], strategies: Sequence[str]) -> pd.DataFrame:
    """A row for each strategy, seed, round and test case; round 0 is each strategy's.

    Returns:
        ``strategy``, ``seed``, ``round``, ``labelled`` (how many), ``case``, ``mean_dice``, and a column a class.
    """
    rows = [
        (strategy, one.seed, one.round, len(one.labelled), case, float(np.mean(dice)), *dice)
        for one in rounds
        for strategy in (strategies if one.round == 0 else [one.strategy])
        for case, dice in one.dice.items()
    ]
    columns = ["strategy", "seed", "round", "labelled", "case", "mean_dice", *class_names]
    return pd.DataFrame(rows, columns=columns).sort_values(["strategy", "seed", "round", "case"], ignore_index=True)


def round_table(rounds: pd.DataFrame) -> pd.DataFrame:
    """Each round over the seeds: mean and standard deviation, and how far it is ahead of random's of the same seed.

    Args:
        rounds: ``strategy``, ``seed``, ``round``, ``labelled``, ``mean_dice``: rounds.csv.

    Returns:
        ``strategy``, ``round``, ``labelled``, ``seeds``, ``mean_dice``, ``std``, ``ahead_of_random``, ``ahead_std`` and
        ``seeds_ahead``; nan where there is nothing to compare with, and for a standard deviation of one seed.
    """
    means = rounds.set_index(["seed", "round", "strategy"])["mean_dice"].unstack("strategy")
    chance = means["random"] if "random" in means else means.iloc[:, 0] * np.nan
    rows = []
    for number, strategy in sorted({*zip(rounds["round"], rounds["strategy"], strict=True)}):
        part = rounds[(rounds["round"] == number) & (rounds["strategy"] == strategy)]
        ahead = (means[strategy] - chance).xs(number, level="round").dropna()
        told = strategy != "random" and number > 0 and len(ahead) > 0
        rows.append(
            {
                "strategy": strategy,
                "round": number,
                "labelled": int(part["labelled"].iloc[0]),
                "seeds": len(part),
                "mean_dice": part["mean_dice"].mean(),
                "std": part["mean_dice"].std(),
                "ahead_of_random": ahead.mean() if told else np.nan,
                "ahead_std": ahead.std() if told else np.nan,
                "seeds_ahead": f"{int((ahead > 0).sum())} of {len(ahead)}" if told else "",
            }
        )
    return pd.DataFrame(rows)


def gain_over_random(cases: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Mean Dice over the rounds after round 0, less random's of the same seeds, cases and rounds.

    Args:
        cases: of :func:`case_dice`.
        seed: of the bootstrap over test cases; a case's seeds and rounds stay together.

    Returns:
        A row for each strategy beside random: ``strategy``, ``gain``, ``low``, ``high`` (95 %), ``std`` over the seeds,
        and ``by_seed``, the gain of each seed.
    """
    later = cases[cases["round"] > 0].set_index(["seed", "round", "case", "strategy"])["mean_dice"].unstack("strategy")
    rows = []
    for strategy in later.columns.drop("random") if "random" in later else []:
        gain = (later[strategy] - later["random"]).dropna()
        if gain.empty:
            continue
        of_case = gain.groupby("case").agg(["sum", "count"]).to_numpy()
        resampled = bootstrap_pooled(of_case, lambda pooled: pooled[0] / pooled[1], RESAMPLES, seed)
        of_seed = gain.groupby("seed").mean()
        value, low, high = percentile_interval(resampled)
        by_seed = ", ".join(f"{mean:+.4f}" for mean in of_seed)
        rows.append((strategy, value, low, high, float(of_seed.std()), by_seed))
    return pd.DataFrame(rows, columns=["strategy", "gain", "low", "high", "std", "by_seed"])


def draw_rounds(rounds: pd.DataFrame) -> Figure:
    """Mean Dice over the number of labelled cases: a line a strategy, its seeds as thin lines, their spread shaded."""
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for i, (strategy, part) in enumerate(rounds.groupby("strategy")):
        colour = COLOURS[i % len(COLOURS)]
        table = part.pivot(index="labelled", columns="seed", values="mean_dice")
        mean, spread = table.mean(axis=1), table.std(axis=1).fillna(0)
        axes.plot(table.index, table, color=colour, linewidth=0.5, alpha=0.6)
        axes.fill_between(table.index, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        axes.plot(table.index, mean, color=colour, marker="o", markersize=4, label=str(strategy))
    axes.set(xlabel="labelled cases", ylabel="mean Dice, test cases", xticks=sorted(rounds["labelled"].unique()))
    axes.legend(frameon=False)
    axes.set_title("mean over seeds, shaded: one standard deviation", fontsize=9)
    return figure


def write_rounds(
    folder: str | os.PathLike,
    rounds: Sequence[Round],
    class_names: Sequence[str],
    strategies: Sequence[str],
    facts: Mapping[str, str],
) -> str:
    """Writes rounds.csv, cases.csv, active_learning.md and active_learning.png, and returns the report.

    Args:
        folder: where to.
        rounds: finished ones.
        class_names: without the background.
        strategies: that were simulated.
        facts: what the numbers come from, ``command`` among them, in the order in which they are told.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    cases = case_dice(rounds, class_names, strategies)
    keys = ["strategy", "seed", "round", "labelled"]
    table = cases.groupby(keys, as_index=False)[["mean_dice", *class_names]].mean()
    write_whole(path / "cases.csv", cases.to_csv(index=False))
    write_whole(path / "rounds.csv", table.to_csv(index=False))
    # the report and the picture are of what the files hold
    cases, table = read_cases_csv(path / "cases.csv"), pd.read_csv(path / "rounds.csv")
    text = _report(facts, cases, table)
    write_whole(path / "active_learning.md", text)
    save_figure(draw_rounds(table), path / "active_learning.png")
    return text


def _report(facts: Mapping[str, str], cases: pd.DataFrame, rounds: pd.DataFrame) -> str:
    rest = [f"- {name}: {fact}" for name, fact in facts.items() if name != "command"]
    parts = ["# Active learning, simulated", f"```\n{facts['command']}\n```", "\n".join(rest)]
    parts.append("\n".join(f"- `{name}`: {STRATEGIES[name]}" for name in sorted(rounds["strategy"].unique())))
    parts += ["## Mean Dice by round", markdown_table(round_table(rounds))]
    gain = gain_over_random(cases)
    if len(gain):
        parts += ["## Ahead of random, mean of all rounds after the first", markdown_table(gain)]
    return "\n\n".join(parts) + "\n"
