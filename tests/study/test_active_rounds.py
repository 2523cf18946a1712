"""Which cases a simulated active learning labels, with trainings made up, and what it keeps."""

import json
from pathlib import Path

import pytest

from dam_study.active_learning.rounds import SCORES, LabellingPlan, Round, check_settings, simulate

CASES = [f"c{i:02d}" for i in range(12)]


class Killed(Exception):
    """The power went."""


class FakeLearner:
    """Dice is the share of labelled cases; D doubts the last names, the softmax the first."""

    def __init__(self, dies_at=None):
        self.calls = []
        self.dies_at = dies_at

    def __call__(self, labelled, unlabelled, scores, seed, start_from, save_to):
        if len(self.calls) == self.dies_at:
            raise Killed
        self.calls.append((tuple(labelled), tuple(unlabelled), tuple(scores), seed, start_from, save_to))
        number = {"confidence": lambda case: 1 - int(case[1:]) / 100, "softmax": lambda case: int(case[1:]) / 100}
        predicted = {name: {case: number[name](case) for case in unlabelled} for name in scores}
        return {"t0": [len(labelled) / len(CASES)]}, predicted, 1.0


def plan(strategies=("confidence", "random"), seeds=(0,), start=2, add=3, rounds=2):
    return LabellingPlan(start, add, rounds, tuple(seeds), tuple(strategies))


def run(asked, folder, learner=None):
    return [*simulate(CASES, asked, learner or FakeLearner(), folder)][-1]


def by_name(rounds):
    return {(one.seed, one.round, one.strategy): one for one in rounds}


def test_each_strategy_labels_what_it_should(tmp_path):
    learner = FakeLearner()
    rounds = by_name(run(plan(("confidence", "softmax", "random")), tmp_path, learner))
    start = rounds[0, 0, "start"].labelled
    assert len(start) == 2
    assert len(rounds) == 7
    rest = [case for case in CASES if case not in start]
    assert rounds[0, 1, "confidence"].labelled == (*start, *rest[:-4:-1])
    assert rounds[0, 2, "confidence"].labelled == (*start, *rest[:-7:-1])
    assert rounds[0, 1, "softmax"].labelled == (*start, *rest[:3])
    assert rounds[0, 2, "softmax"].labelled == (*start, *rest[:6])
    chance = rounds[0, 2, "random"].labelled
    assert rounds[0, 1, "random"].labelled == chance[:5]
    assert len(set(chance)) == 8
    assert chance[:2] == start
    for labelled, unlabelled, _, _, _, _ in learner.calls:
        assert sorted([*labelled, *unlabelled]) == CASES


def test_only_what_is_needed_is_scored_and_each_round_goes_on_from_its_own(tmp_path):
    learner = FakeLearner()
    run(plan(), tmp_path, learner)
    assert [(scores, save.name, before and before.name) for _, _, scores, _, before, save in learner.calls] == [
        (SCORES, "seed0_round0_start", None),
        (("confidence",), "seed0_round1_confidence", "seed0_round0_start"),
        ((), "seed0_round1_random", "seed0_round0_start"),
        ((), "seed0_round2_confidence", "seed0_round1_confidence"),
        ((), "seed0_round2_random", "seed0_round1_random"),
    ]


def test_seeds_draw_other_cases_and_the_order_of_names_does_not_matter(tmp_path):
    rounds = by_name(run(plan(seeds=(0, 1)), tmp_path / "a"))
    assert rounds[0, 0, "start"].labelled != rounds[1, 0, "start"].labelled
    turned = [*simulate(CASES[::-1], plan(seeds=(0, 1)), FakeLearner(), tmp_path / "b")][-1]
    assert [one.labelled for one in turned] == [one.labelled for one in rounds.values()]


def test_what_was_finished_before_a_kill_is_not_done_again(tmp_path):
    whole = run(plan(seeds=(0, 1)), tmp_path / "whole")
    with pytest.raises(Killed):
        run(plan(seeds=(0, 1)), tmp_path / "killed", FakeLearner(dies_at=7))
    rest, told = FakeLearner(), []
    resumed = [*simulate(CASES, plan(seeds=(0, 1)), rest, tmp_path / "killed", told.append)]
    assert len(rest.calls) == 3
    assert resumed[-1] == whole == told
    assert [len(part) for part in resumed] == [5, 10]  # a part after each seed


def test_a_strategy_and_a_seed_can_be_added_later(tmp_path):
    run(plan(), tmp_path)
    learner = FakeLearner()
    run(plan(("confidence", "random", "softmax"), (0, 1)), tmp_path, learner)
    assert [call[5].name for call in learner.calls][:2] == ["seed0_round1_softmax", "seed0_round2_softmax"]
    assert len(learner.calls) == 2 + 7


def test_a_damaged_or_foreign_round_is_named(tmp_path):
    run(plan(), tmp_path)
    file = tmp_path / Round.file_name("random", 0, 1)
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "labelled": kept["labelled"][::-1]}))
    with pytest.raises(ValueError, match="seed0_round1_random.json does not follow from the round before it: delete"):
        run(plan(), tmp_path)
    for broken in ('{"seed": 0', '{"seed": 0}', "[]"):
        file.write_text(broken)
        with pytest.raises(ValueError, match="seed0_round1_random.json is damaged .*: delete it and run the command"):
            run(plan(), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0}, "start must be a whole number, at least 1, got 0"),
        ({"add": 1.5}, "add must be a whole number, at least 1, got 1.5"),
        ({"rounds": True}, "rounds must be a whole number, at least 1, got True"),
        ({"strategies": ("entropy",)}, "strategies must be of confidence, softmax, random, .* got 'entropy'"),
        ({"strategies": ()}, "strategies must be of confidence, softmax, random, .* got ''"),
        ({"seeds": ()}, "seeds must be whole numbers separated by commas, got none"),
    ],
)
def test_a_wrong_plan_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        plan(**options)


def test_too_few_cases_are_counted(tmp_path):
    assert run(plan(start=2, add=5, rounds=2), tmp_path / "all")[-1].labelled  # all 12
    with pytest.raises(ValueError, match=r"start \+ rounds \* add must be at most the 12 training cases .*, got 13"):
        run(plan(start=3, add=5, rounds=2), tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_settings_are_kept_and_compared(tmp_path):
    settings = {"add": 8, "cases": ["a", "b"], "train": {"steps": [{"prob": 0.5}], "lr": 0.1}, "spacing": (1.0, 2.0)}
    check_settings(tmp_path / "new", settings)
    check_settings(tmp_path / "new", settings)
    for change, message in (
        ({"add": 4}, "another add, 8, not 4: name another --output"),
        ({"train": settings["train"] | {"lr": 0.2}}, "another train#lr, 0.1, not 0.2"),
        ({"amp": True}, "another amp, null, not true"),
    ):
        with pytest.raises(ValueError, match=message):
            check_settings(tmp_path / "new", settings | change)
    Path(tmp_path, "new", "settings.json").write_text("{")
    with pytest.raises(ValueError, match="settings.json is damaged .*: delete the folder or name another --output"):
        check_settings(tmp_path / "new", settings)
