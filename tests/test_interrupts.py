"""Signals end the program in order: every finally runs, the status says why."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from dam_components import interrupts
from dam_components.interrupts import Interrupted, exit_on_signals, restore_signals


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_status_and_cleaning_up(tmp_path, signum, status):
    code = """if True:
        import sys, time
        from dam_components.atomic_files import whole_file
        from dam_components.errors import plain_errors
        plain_errors()
        with whole_file(sys.argv[1]) as temporary:
            temporary.write_text("half")
            print("writing", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signum)
        assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == status
    assert not list(tmp_path.iterdir())


def test_a_second_signal_soon_after_is_the_same_one(monkeypatch):
    exit_on_signals()
    with pytest.raises(Interrupted) as caught:
        signal.raise_signal(signal.SIGINT)
    assert caught.value.code == 130
    assert caught.value.name == "SIGINT"
    signal.raise_signal(signal.SIGTERM)
    later = time.monotonic() + interrupts.PATIENCE_S + 1
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: later)
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)


def test_a_server_keeps_its_signals():
    before, found = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: found.append(exit_on_signals()))
    thread.start()
    thread.join()
    assert found == [{}]
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_given_back():
    before = signal.getsignal(signal.SIGINT)
    kept = exit_on_signals()
    assert signal.getsignal(signal.SIGINT) is not before
    restore_signals(kept)
    assert signal.getsignal(signal.SIGINT) is before
    assert not kept
