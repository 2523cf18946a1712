"""Two runs in one folder: the second is refused at once, and the first does not notice."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dam_components import folder_lock
from dam_components.folder_lock import hold_folders, release_folders

CODE = "import sys, time; from dam_components.folder_lock import hold_folders; hold_folders(sys.argv[1]);"


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds the folder until it gets a line, after some code of its own."""
    started = []

    def start(code="print('held', flush=True); sys.stdin.readline()"):
        command = [sys.executable, "-c", CODE + code, str(tmp_path / "run")]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch):
    monkeypatch.setattr(folder_lock, "_held", {})
    yield
    release_folders()


def test_second_process_is_refused_at_once_and_told_by_whom(tmp_path, holder):
    first = holder()
    start = time.monotonic()
    with pytest.raises(OSError, match=rf"run is in use by process {first.pid} on .* \(-c .*: wait until it has ended"):
        hold_folders(tmp_path / "run")
    assert time.monotonic() - start < 1
    first.communicate("\n", timeout=30)
    assert first.returncode == 0
    assert not list((tmp_path / "run").iterdir())  # an ordinary end leaves nothing
    hold_folders(tmp_path / "run")


def test_a_process_that_was_killed_holds_nothing(tmp_path, holder):
    first = holder()
    first.send_signal(signal.SIGKILL)
    first.wait()
    hold_folders(tmp_path / "run")
    assert str(os.getpid()) in (tmp_path / "run" / ".in_use.json").read_text()


def test_workers_of_a_killed_process_are_waited_for(tmp_path, holder):
    """A forked worker may have the lock too, until it finds out that its parent is gone."""
    worker, file = holder("print('held', flush=True); time.sleep(2)"), tmp_path / "run" / ".in_use.json"
    with subprocess.Popen([sys.executable, "-c", ""]) as parent:
        parent.wait()
    file.write_text(json.dumps({**json.loads(file.read_text()), "process": parent.pid}))
    hold_folders(tmp_path / "run")
    assert worker.wait(timeout=5) == 0


def test_a_process_that_has_removed_its_name_is_about_to_let_go(tmp_path, holder):
    worker = holder("print('held', flush=True); time.sleep(1)")
    (tmp_path / "run" / ".in_use.json").unlink()
    hold_folders(tmp_path / "run")
    assert worker.wait(timeout=60) == 0


def test_the_same_process_holds_on(tmp_path):
    hold_folders(tmp_path / "a", tmp_path / "b", tmp_path / "a")
    hold_folders(tmp_path / "b")


def test_the_other_ranks_hold_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    hold_folders(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/run cannot be written to \(.*\): free it, or name another folder"):
        hold_folders(tmp_path / "file" / "run")
