"""Tables and files of a simulated active learning, on rounds made by hand."""

import math

import pandas as pd
import pytest

from dam_study.active_learning.round_files import case_dice, gain_over_random, round_table, write_rounds
from dam_study.active_learning.rounds import Round

NAMES = ["anterior", "posterior"]


def made(strategy, seed, number, a, b):
    """Two test cases; the second class is 0.1 below the first."""
    dice = {"t1": [a, a - 0.1], "t2": [b, b - 0.1]}
    return Round(strategy, seed, number, tuple("abcd"[: 2 + number]), dice, {}, 1.0)


ROUNDS = [
    made("start", 0, 0, 0.5, 0.7),  # mean over cases and classes 0.55
    made("confidence", 0, 1, 0.7, 0.9),  # 0.75
    made("random", 0, 1, 0.6, 0.9),  # 0.70
    made("start", 1, 0, 0.6, 0.8),  # 0.65
    made("confidence", 1, 1, 0.6, 0.9),  # 0.70
    made("random", 1, 1, 0.7, 0.9),  # 0.75
]


def table(rounds, strategies=("confidence", "random")):
    cases = case_dice(rounds, NAMES, strategies)
    keys = ["strategy", "seed", "round", "labelled"]
    return cases, cases.groupby(keys, as_index=False)["mean_dice"].mean()


def test_the_shared_round_counts_for_each_strategy():
    cases, rounds = table(ROUNDS)
    assert len(cases) == 2 * 2 * 2 * 2
    assert list(cases.columns[-2:]) == NAMES
    first = rounds[rounds["round"] == 0].groupby("strategy")["mean_dice"].apply(list)
    assert first["confidence"] == first["random"] == pytest.approx([0.55, 0.65])
    assert rounds["labelled"].tolist() == [2, 3, 2, 3, 2, 3, 2, 3]


def test_mean_spread_and_difference_are_over_seeds():
    told = round_table(table(ROUNDS)[1]).set_index(["strategy", "round"])
    ours = told.loc["confidence", 1]
    # 0.75 and 0.70 against 0.70 and 0.75: differences 0.05 and -0.05 have mean 0 and std 0.05 * sqrt(2)
    assert ours["mean_dice"] == pytest.approx(0.725)
    assert ours["std"] == pytest.approx(0.05 / math.sqrt(2))
    assert ours["ahead_of_random"] == pytest.approx(0)
    assert ours["ahead_std"] == pytest.approx(0.05 * math.sqrt(2))
    assert ours["seeds_ahead"] == "1 of 2"
    assert ours["labelled"] == 3
    assert ours["seeds"] == 2
    assert told["ahead_of_random"].drop([("confidence", 1)]).isna().all()


def test_gain_is_paired_over_seeds_and_cases():
    gain = gain_over_random(table(ROUNDS[:3])[0]).iloc[0]  # t1: 0.1 ahead, t2: 0
    assert (gain["strategy"], gain["by_seed"]) == ("confidence", "+0.0500")
    assert gain[["gain", "low", "high"]].tolist() == pytest.approx([0.05, 0.0, 0.1])
    assert math.isnan(gain["std"])
    both = gain_over_random(table(ROUNDS)[0]).iloc[0]  # t1: 0.1 and -0.1
    assert both["gain"] == pytest.approx(0)
    assert both["std"] == pytest.approx(0.05 * math.sqrt(2))
    assert both["by_seed"] == "+0.0500, -0.0500"


def test_without_random_nothing_is_compared():
    alone = [one for one in ROUNDS if one.strategy != "random"]
    cases, rounds = table(alone, ["confidence"])
    assert round_table(rounds)["ahead_of_random"].isna().all()
    assert gain_over_random(cases).empty


def test_the_files_hold_it_all(tmp_path):
    facts = {"command": "python -m dam_study active_learning --add 1", "seeds": "0, 1"}
    text = write_rounds(tmp_path / "new", ROUNDS, NAMES, ["confidence", "random"], facts)
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "active_learning.md",
        "active_learning.png",
        "cases.csv",
        "rounds.csv",
    ]
    rounds = pd.read_csv(tmp_path / "new" / "rounds.csv")
    assert list(rounds.columns) == ["strategy", "seed", "round", "labelled", "mean_dice", *NAMES]
    assert rounds.iloc[0, :4].tolist() == ["confidence", 0, 0, 2]
    assert rounds.iloc[0, 4:].tolist() == pytest.approx([0.55, 0.6, 0.5])
    assert text == (tmp_path / "new" / "active_learning.md").read_text()
    assert "```\npython -m dam_study active_learning --add 1\n```" in text
    assert "- seeds: 0, 1" in text
    assert "| confidence | 1 | 3 | 2 | 0.7250 | 0.0354 |" in text
    assert "## Ahead of random" in text
