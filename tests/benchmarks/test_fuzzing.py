"""The fuzzing command on a few inputs: it counts, and it fails where a damage slips through."""

import pytest

from benchmarks import fuzzing


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(fuzzing, "SIZES", ((32, 32, 32),) * 3)


def test_twelve_damaged_inputs_are_refused_or_harmless(capsys, monkeypatch):
    monkeypatch.setattr(fuzzing.resource, "getrusage", lambda _: type("", (), {"ru_maxrss": 0}))  # of other tests too
    fuzzing.run(count=12, seed=3)
    printed = capsys.readouterr().out
    assert "12 damaged inputs, seed 3: 0 accepted or with a traceback; good cases unharmed: True" in printed


def test_an_accepted_damage_and_a_foreign_error_are_told(tmp_path):
    good = fuzzing.train_reader
    fuzzing.make_good(tmp_path)
    seen = good(tmp_path)
    assert fuzzing.outcome(good, tmp_path, seen) == "harmless"
    assert fuzzing.outcome(lambda folder: [seen[0] + 1, *seen[1:]], tmp_path, seen) == "ACCEPTED"
    assert fuzzing.outcome(lambda folder: 1 / 0, tmp_path, seen).startswith("TRACEBACK ZeroDivisionError")


def test_it_ends_with_status_1_where_damage_is_accepted(monkeypatch):
    monkeypatch.setattr(fuzzing, "outcome", lambda *_: "ACCEPTED")
    with pytest.raises(SystemExit):
        fuzzing.run(count=1)
