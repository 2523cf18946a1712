"""Seeded epochs and the clean stop."""

import random
import signal
import threading

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.transforms import RandGaussianNoised

from dam_components.engines import ConfidenceEvents
from dam_components.handlers import SeedEpochs, StopOnInterrupt


def drawn(epoch, seed=0, rank=0, dataset=None):
    """What each generator gives after the seeding of an epoch."""
    engine = Engine(lambda engine, batch: None)
    engine.state.epoch, engine.state.rank = epoch, rank
    if dataset is not None:
        engine.data_loader = DataLoader(dataset, batch_size=1)
    SeedEpochs(seed)(engine)
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_epoch_depends_on_seed_number_and_rank_alone():
    first = drawn(3, seed=1)
    assert drawn(3, seed=1) == first
    others = [drawn(4, seed=1), drawn(3, seed=2), drawn(3, seed=1, rank=1)]
    for position in range(3):
        assert len({draw[position] for draw in [first, *others]}) == 4


def test_random_transforms_are_seeded_too():
    transform = RandGaussianNoised("image", prob=1.0)
    dataset = Dataset([{"image": torch.zeros(1, 4)}], transform)

    def noise(epoch):
        drawn(epoch, dataset=dataset)
        return dataset[0]["image"]

    first, second, again = noise(1), noise(2), noise(1)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_every_epoch_of_a_run_is_seeded(build):
    trainer, seen = build(max_epochs=3, batches=1, train_handlers=[SeedEpochs(4)]), []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: seen.append(torch.initial_seed()))
    trainer.run()
    assert len(set(seen)) == 3


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_a_resumed_run_sees_the_cases_of_the_unbroken_one_however_long_its_epochs_are(length):
    def seen(*restored):
        cases = {}
        engine = Engine(lambda engine, batch: cases.setdefault(engine.state.epoch, []).append(batch.item()))
        SeedEpochs(4).attach(engine)
        for state in restored:
            engine.load_state_dict(state)
        engine.run(DataLoader(Dataset([*range(4)]), batch_size=1, shuffle=True), max_epochs=4, epoch_length=length)
        return cases

    whole = seen()
    assert len(set(map(tuple, whole.values()))) > 1
    resumed = seen({"epoch": 2, "max_epochs": 4, "epoch_length": length})
    assert resumed == {epoch: whole[epoch] for epoch in (3, 4)}


def test_kernels_stay_the_users_choice(monkeypatch):
    for benchmark in (True, False):
        monkeypatch.setattr(torch.backends.cudnn, "benchmark", benchmark)
        monkeypatch.setattr(torch.backends.cudnn, "deterministic", not benchmark)
        drawn(1)
        assert torch.backends.cudnn.benchmark is benchmark
        assert torch.backends.cudnn.deterministic is not benchmark


def test_large_seeds_stay_in_range():
    assert drawn(10**6, seed=2**31 - 1) != drawn(10**6, seed=2**31 - 2)


@pytest.fixture
def events():
    """What a run fires of the events that end it."""
    return []


def interruptible(build, events, signum=signal.SIGINT, when=ConfidenceEvents.CONFIDENCE_COMPLETED, **changes):
    """A trainer of 2 epochs of 3 iterations that gets a signal within its fifth iteration."""
    trainer = build(max_epochs=2, **{"train_handlers": [StopOnInterrupt()], **changes})
    trainer.add_event_handler(when, lambda: trainer.state.iteration == 5 and signal.raise_signal(signum))
    for event in (Events.EPOCH_COMPLETED, Events.TERMINATE, Events.COMPLETED):
        trainer.add_event_handler(event, lambda engine, event=event: events.append(event))
    return trainer


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_at_once_and_says_what_is_kept(build, events, caplog, signum, status):
    before = signal.getsignal(signum)
    trainer = interruptible(build, events, signum)
    with pytest.raises(SystemExit) as caught:
        trainer.run()
    assert caught.value.code == status
    assert trainer.state.iteration == 5
    assert events == [Events.EPOCH_COMPLETED]  # of the first; nothing that saves a network has run
    assert {int(entry["step"]) for entry in trainer.optimizer.state.values()} == {4}
    assert signal.getsignal(signum) is before
    name = signal.Signals(signum).name
    expected = (
        f"interrupted ({name}) in epoch 2 of 2: no model was written or replaced; go on after epoch 1 with --resume"
    )
    assert expected in caplog.text


def test_in_the_first_epoch_there_is_nothing_to_go_on_from(build, events, caplog):
    trainer = build(train_handlers=[StopOnInterrupt()])
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit):
        trainer.run()
    assert "in epoch 1 of" in caplog.text
    assert "start it again" in caplog.text


def test_validation_ends_within_its_case(build, events, caplog):
    """The trainer's handlers see the end too, and none of them takes the metrics of some cases for those of all."""
    cases = []

    def judge(engine, batch):
        cases.append(batch)
        if len(cases) == 2:
            signal.raise_signal(signal.SIGINT)

    validator = Engine(judge)
    validator.add_event_handler(Events.COMPLETED, lambda: events.append("metrics"))
    StopOnInterrupt().attach(validator)
    trainer = build(max_epochs=2, train_handlers=[StopOnInterrupt()])
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: validator.run(range(5)))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: events.append("saved"))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit):
        trainer.run()
    assert cases == [0, 1]
    assert events == []
    assert caplog.text.count("no model was written or replaced") == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_handler_is_there_during_the_run_and_gone_after_it(build):
    before, during = signal.getsignal(signal.SIGINT), []
    trainer = build(train_handlers=[StopOnInterrupt()])
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: during.append(signal.getsignal(signal.SIGINT)))
    trainer.run()
    assert before not in during
    assert signal.getsignal(signal.SIGINT) is before


def fail():
    raise ValueError("the reason")


@pytest.mark.parametrize("event", [Events.STARTED, Events.ITERATION_STARTED, Events.EPOCH_COMPLETED, Events.COMPLETED])
def test_error_keeps_its_message_and_gives_the_signal_back(build, event):
    class Failing:
        def attach(self, engine):
            engine.add_event_handler(event, fail)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="^the reason$"):
        build(train_handlers=[Failing(), StopOnInterrupt()]).run()
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_it_does_nothing(build):
    before, trainer = signal.getsignal(signal.SIGINT), build(train_handlers=[StopOnInterrupt()])
    thread = threading.Thread(target=trainer.run)
    thread.start()
    thread.join(timeout=60)
    assert trainer.state.iteration == 3
    assert signal.getsignal(signal.SIGINT) is before
