"""A run that was stopped, or killed, and resumed ends as one that never stopped."""

import os
import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from ignite.engine import Events

import dam_components
from dam_components.handlers import StopOnInterrupt, newest_checkpoint

SCRIPT = Path(__file__).with_name("tiny_run.py")
TINY = runpy.run_path(str(SCRIPT))
build, state = TINY["build"], TINY["state"]


@pytest.fixture(autouse=True)
def one_thread():
    """Bit for bit needs the same order of sums in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def difference(a, b, path=""):
    """Where two states differ: an empty list, or the paths."""
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [path]
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [place for key in a for place in difference(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [place for i in range(len(a)) for place in difference(a[i], b[i], f"{path}/{i}")]
    return [] if a == b else [f"{path}: {a} and {b}"]


def weights(folder):
    return torch.load(folder / "model.pt", weights_only=True)


def unbroken(folder, epochs, **options):
    parts = build(folder, epochs, **options)
    parts["trainer"].run()
    return parts


@pytest.mark.parametrize("workers", [0, 1])
def test_two_and_two_epochs_are_four(tmp_path, workers):
    whole = unbroken(tmp_path / "whole", 4, workers=workers)
    unbroken(tmp_path / "parts", 2, workers=workers)
    resumed = build(tmp_path / "parts", 4, resume=True, seed=9, workers=workers)  # other weights, until it is restored
    assert difference(state(whole)["network"], state(resumed)["network"])
    resumed["trainer"].run()
    assert difference(state(whole), state(resumed)) == []
    assert difference(weights(tmp_path / "whole"), weights(tmp_path / "parts")) == []
    # not vacuous: the running Dice and the schedules have moved, a best model has been chosen
    assert whole["trainer"].loss_function.dice.value.min() > 0
    assert whole["optimizer"].param_groups[0]["lr"] == pytest.approx(1e-2 * 0.7**2)
    assert 0 < whole["best"].state_dict()["_saved"][0][0] < 1


def test_seeded_epochs_are_what_makes_them_equal(tmp_path):
    # the control: the resumed run sees other shuffles and other noise when its epochs are seeded otherwise
    whole = unbroken(tmp_path / "whole", 2)
    unbroken(tmp_path / "parts", 1)
    resumed = build(tmp_path / "parts", 2, resume=True)
    resumed["trainer"].add_event_handler(Events.EPOCH_STARTED, lambda: torch.manual_seed(0))
    resumed["trainer"].run()
    assert difference(state(whole)["network"], state(resumed)["network"])


def test_finished_run_has_nothing_left_to_do(tmp_path):
    whole = unbroken(tmp_path, 2)
    again = build(tmp_path, 2, resume=True, seed=9)
    again["trainer"].run()
    assert difference(state(whole), state(again)) == []


def test_fewer_epochs_than_the_checkpoint_has(tmp_path):
    unbroken(tmp_path, 2)
    with pytest.raises(ValueError, match=r"Epoch count \(2\) in checkpoint is larger than"):
        build(tmp_path, 1, resume=True)["trainer"].run()


def test_interrupted_run_is_resumed_from_its_last_whole_epoch(tmp_path):
    whole = unbroken(tmp_path / "whole", 3)

    class InterruptThirdIteration:
        def attach(self, engine):
            engine.add_event_handler(Events.ITERATION_STARTED(once=3), lambda: os.kill(os.getpid(), signal.SIGINT))

    stopped = build(tmp_path / "parts", 3, handlers=(StopOnInterrupt(), InterruptThirdIteration()))
    with pytest.raises(SystemExit):
        stopped["trainer"].run()
    assert stopped["trainer"].state.iteration == 3  # an epoch has two
    resumed = build(tmp_path / "parts", 3, resume=True, seed=9)
    resumed["trainer"].run()
    assert difference(state(whole), state(resumed)) == []


def start(folder, epochs, pause, *resume):
    environment = {**os.environ, "PYTHONPATH": str(Path(dam_components.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(folder), str(epochs), str(pause), *resume]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_killed_at_a_random_moment_and_resumed(tmp_path):
    epochs, pause = 20, 0.05
    whole = unbroken(tmp_path / "whole", epochs)
    folder = tmp_path / "killed"
    process = start(folder, epochs, pause)
    give_up = time.monotonic() + 120
    while not list(folder.glob("run_*.pt")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < give_up
        time.sleep(0.005)
    time.sleep(random.Random(3).uniform(0.0, 0.5))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it was still training
    process.stderr.close()
    assert not (folder / "final.pt").exists()
    _, errors = start(folder, epochs, 0, "resume").communicate(timeout=120)
    assert (folder / "final.pt").exists(), errors.decode()
    assert difference(state(whole), torch.load(folder / "final.pt", weights_only=True)) == []
    assert difference(weights(tmp_path / "whole"), weights(folder)) == []
    assert newest_checkpoint(folder).name == "run_checkpoint_epoch=20.pt"
