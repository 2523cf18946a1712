"""The time that is left of a training, by the epochs that its stages have saved."""

from types import SimpleNamespace

import pytest

from dam_components.commands import training_clock
from dam_components.commands.training_clock import TrainingClock
from dam_components.commands.training_stages import Stage


@pytest.fixture
def clock_of(monkeypatch, tmp_path):
    """A clock of stages S and D, S with these checkpoints; time passes where ``pass_time`` is called."""
    now = [0.0]
    monkeypatch.setattr(training_clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(training_clock, "LOOK_S", 600.0)  # the lines in between are asked for below

    def make(epochs, saved):
        for epoch in range(1, saved + 1):
            (tmp_path / f"run_checkpoint_epoch={epoch}.pt").touch()
        S, D = Stage("S", "S", (), (), tmp_path, epochs, work=10.0), Stage("D", "D", (), (), work=10.0)
        return TrainingClock([S, D]), S, D

    def pass_time(seconds):
        now[0] += seconds

    return make, pass_time


def test_a_resumed_stage_that_had_saved_all_its_epochs_leaves_the_pace_open(clock_of):
    make, pass_time = clock_of
    clock, S, D = make(epochs=4, saved=4)
    with clock.running(S):
        pass_time(90)
    with clock.running(D) as left:
        assert left == ""
        pass_time(90)


def test_what_an_earlier_run_has_done_is_not_left(clock_of):
    make, pass_time = clock_of
    clock, S, _ = make(epochs=4, saved=2)
    # a quarter of S took two minutes: there remain another quarter, and D, which is as long as S
    assert clock.left(S, 0.5, 0.75, 120) == "about 10 min left for all stages"
    with clock.running(S):
        pass_time(240)
    assert (clock.worked, clock.seconds) == (5.0, 240)


def test_a_stage_of_unknown_epochs_counts_when_it_is_over(clock_of):
    make, pass_time = clock_of
    clock, S, D = make(epochs=0, saved=50)
    assert training_clock._saved_share(S) == 0
    with clock.running(S) as left:
        assert left == ""
        pass_time(600)
    with clock.running(D) as left:
        assert left == "about 10 min left for all stages"


def test_nothing_is_left_of_a_stage_that_failed_and_may(clock_of):
    make, pass_time = clock_of
    clock, S, D = make(epochs=0, saved=0)
    with pytest.raises(SystemExit), clock.running(D):
        raise SystemExit(1)
    with clock.running(S):
        pass_time(120)
    assert (clock.worked, clock.seconds) == (10.0, 120)
    assert clock.left(S, 1.0, 1.0, 0) == "about 1 min left for all stages"
