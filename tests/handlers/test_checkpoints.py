"""What is written, what survives a failure while writing, and what a resumed run finds."""

import os
import signal
import stat
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import checkpoint as ignite_checkpoint
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice
from torch import nn

from dam_components.handlers import BestSaver, RunLoader, RunSaver, newest_checkpoint


def scored(network, scores):
    """An engine that fills the network with 1, 2, 3, ... in its epochs, whose key metric is as given."""
    engine = Engine(lambda engine, batch: None)
    engine.state.key_metric_name = "dice"

    @engine.on(Events.EPOCH_COMPLETED)
    def score():
        nn.init.constant_(network.weight, engine.state.epoch)
        engine.state.metrics["dice"] = scores[engine.state.epoch - 1]

    return engine


def run_best(folder, scores, saved=None):
    """Trains as long as there are scores; gives the saver and the value in the file."""
    network = nn.Linear(1, 1, bias=False)
    saver, engine = BestSaver(str(folder), {"network": network}, "model.pt"), scored(network, scores)
    if saved is not None:
        saver.load_state_dict(saved)
    saver.attach(engine)
    engine.run([0], max_epochs=len(scores))
    return saver, torch.load(folder / "model.pt", weights_only=True)["weight"].item()


def test_best_epoch_is_kept_as_a_raw_state_dict(tmp_path):
    saver, value = run_best(tmp_path, [0.5, 0.7, 0.6, 0.7])
    assert value == 2
    assert saver.state_dict()["_saved"][0][0] == 0.7
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_resumed_run_keeps_a_better_model_and_replaces_a_worse(tmp_path):
    before, _ = run_best(tmp_path, [0.5, 0.7])
    _, value = run_best(tmp_path, [0.6], before.state_dict())
    assert value == 2
    _, value = run_best(tmp_path, [0.8], before.state_dict())
    assert value == 1
    before, _ = run_best(tmp_path, [0.5, 0.7])
    _, value = run_best(tmp_path, [0.6])  # the control: without its state the first epoch is the best so far
    assert value == 1


def test_a_resumed_evaluator_knows_its_best_metric_and_epoch(tmp_path):
    def evaluator(*saved):
        saver = BestSaver(str(tmp_path), {"network": nn.Linear(1, 1)}, "model.pt")
        metric = {"dice": MeanDice()}
        engine = SupervisedEvaluator("cpu", [0], nn.Identity(), key_val_metric=metric, val_handlers=[saver])
        for state in saved:
            saver.load_state_dict(state)
        return saver, engine

    saver, engine = evaluator()
    engine.state.best_metric, engine.state.best_metric_epoch = np.float64(0.7), 60
    torch.save(saver.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed = evaluator(state)[1].state
    assert (resumed.best_metric, resumed.best_metric_epoch) == (0.7, 60)
    older = {name: value for name, value in state.items() if name == "_saved"}
    assert evaluator(older)[1].state.best_metric_epoch == -1


def test_state_of_the_best_saver_is_plain(tmp_path):
    saver, _ = run_best(tmp_path / "model", [np.float64(0.5)])
    torch.save(saver.state_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["_saved"][0][0] == 0.5


def half_written(monkeypatch):
    """From now on, saving fails after some bytes, as on a full disk."""

    def save(checkpoint, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(ignite_checkpoint.torch, "save", save)


def test_best_model_survives_a_failed_write(tmp_path, monkeypatch):
    saver, _ = run_best(tmp_path, [0.5])
    half_written(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        run_best(tmp_path, [0.9], saver.state_dict())
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 1
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def run_saved(folder, epochs, network=None):
    network = network or nn.Linear(1, 1, bias=False)
    engine = scored(network, [0.0] * epochs)
    RunSaver(str(folder), {"network": network}).attach(engine)
    engine.run([0], max_epochs=epochs)
    return network


def test_run_saver_keeps_the_last_two_epochs_with_the_engine(tmp_path):
    run_saved(tmp_path / "new" / "folder", 11)
    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert [file.name for file in files] == ["run_checkpoint_epoch=10.pt", "run_checkpoint_epoch=11.pt"]
    content = torch.load(files[1], weights_only=True)
    assert content["network"]["weight"].item() == 11
    assert content["trainer"]["iteration"] == 11
    assert files[1].stat().st_mode & stat.S_IROTH  # a server's other users may read it


def test_callers_dict_is_left_alone(tmp_path):
    parts = {"network": nn.Linear(1, 1)}
    RunSaver(str(tmp_path), parts).attach(Engine(lambda engine, batch: None))
    assert list(parts) == ["network"]
    run_saved(tmp_path, 1)
    RunLoader(str(tmp_path), parts).attach(Engine(lambda engine, batch: None))
    assert list(parts) == ["network"]


def test_whole_checkpoint_survives_a_failed_write(tmp_path, monkeypatch):
    network = run_saved(tmp_path, 2)
    half_written(monkeypatch)
    engine = scored(network, [0.0] * 3)
    RunLoader(str(tmp_path), {"network": network}).attach(engine)
    RunSaver(str(tmp_path), {"network": network}).attach(engine)
    with pytest.raises(OSError, match="No space left"):
        engine.run([0], max_epochs=3)
    assert newest_checkpoint(tmp_path).name == "run_checkpoint_epoch=2.pt"


def test_loader_restores_parts_and_engine(tmp_path):
    run_saved(tmp_path, 2)
    network, epochs = nn.Linear(1, 1, bias=False), []
    engine = scored(network, [0.0] * 4)
    loader = RunLoader(str(tmp_path), {"network": network}, map_location="cpu")
    assert loader.map_location == "cpu"
    loader.attach(engine)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: epochs.append((engine.state.epoch, network.weight.item())))
    engine.run([0], max_epochs=4)
    assert epochs == [(3, 2.0), (4, 3.0)]


def test_a_checkpoint_of_another_network_is_one_line(tmp_path):
    run_saved(tmp_path, 1)
    network = nn.Linear(2, 3)
    engine = scored(network, [0.0] * 2)
    RunLoader(str(tmp_path), {"network": network}).attach(engine)
    with pytest.raises(ValueError, match=r"epoch=1.pt is of a run with other options \(.*--resume True") as raised:
        engine.run([0], max_epochs=2)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_checkpoint_of_a_shorter_run_is_one_line_and_does_not_train_at_a_rate_of_0(tmp_path):
    def parts(epochs):
        network = nn.Linear(1, 1)
        optimizer = torch.optim.AdamW(network.parameters())
        return {"network": network, "rate": torch.optim.lr_scheduler.PolynomialLR(optimizer, epochs)}

    engine = Engine(lambda engine, batch: None)
    RunSaver(str(tmp_path), parts(2)).attach(engine)
    engine.run([0], max_epochs=2)
    longer, steps = Engine(lambda engine, batch: steps.append(batch)), []
    RunLoader(str(tmp_path), parts(4)).attach(longer)
    with pytest.raises(ValueError, match="its learning rate falls over 2 epochs, that of this run over 4"):
        longer.run([0], max_epochs=4)
    assert steps == []


@pytest.mark.parametrize(
    "damage", ["cut by a byte", "cut in half", "cut to 100 bytes", "empty", "zeros", "garbage", "a bit flipped"]
)
def test_damaged_newest_checkpoint_is_skipped(tmp_path, damage):
    run_saved(tmp_path, 2)
    newest = tmp_path / "run_checkpoint_epoch=2.pt"
    size = newest.stat().st_size
    if damage.startswith("cut") or damage == "empty":
        length = {"cut by a byte": size - 1, "cut in half": size // 2, "cut to 100 bytes": 100, "empty": 0}[damage]
        os.truncate(newest, length)
    elif damage == "a bit flipped":  # in the weight itself, where the file's own checksum alone shows it
        content, two = bytearray(newest.read_bytes()), struct.pack("<f", 2.0)
        assert content.count(two) == 1
        content[content.index(two) + 3] ^= 1
        newest.write_bytes(content)
    else:
        newest.write_bytes({"zeros": b"\0", "garbage": b"garbage "}[damage] * 200)
    assert newest_checkpoint(tmp_path).name == "run_checkpoint_epoch=1.pt"


def test_newest_is_by_number_not_by_name(tmp_path):
    run_saved(tmp_path, 10)
    assert newest_checkpoint(tmp_path).name == "run_checkpoint_epoch=10.pt"


@pytest.mark.parametrize("files", [[], ["run_checkpoint_epoch=1.pt"], ["model.pt"]])
def test_nothing_to_resume_from(tmp_path, files):
    for file in files:
        (tmp_path / file).write_bytes(b"not whole")
    message = rf"^{tmp_path} holds no whole run_checkpoint_epoch=\*\.pt to resume from; start without --resume True$"
    with pytest.raises(FileNotFoundError, match=message):
        newest_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match=message):
        RunLoader(str(tmp_path), {"network": nn.Linear(1, 1)})


def test_a_new_run_in_a_used_folder_is_what_a_resume_finds(tmp_path):
    def train(epochs):
        network = torch.nn.Linear(1, 1)
        trainer = Engine(lambda engine, batch: None)
        RunSaver(str(tmp_path), {"network": network}).attach(trainer)
        trainer.run([0], max_epochs=epochs)

    train(5)
    assert newest_checkpoint(tmp_path).name == "run_checkpoint_epoch=5.pt"
    train(2)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"run_checkpoint_epoch={i}.pt" for i in (1, 2)]
    assert newest_checkpoint(tmp_path).name == "run_checkpoint_epoch=2.pt"


def test_a_process_that_is_killed_while_it_writes_leaves_no_other_file(tmp_path):
    """SIGKILL, on a file system that knows files without a name; elsewhere the next run's start removes the file."""
    code = """if True:
        import sys, time, torch
        from dam_components.atomic_files import whole_stream
        with whole_stream(sys.argv[1] + "/model.pt") as stream:
            torch.save(torch.zeros(1000), stream)
            stream.flush()
            print("writing", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    assert not list(tmp_path.iterdir())
