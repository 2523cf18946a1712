"""One run a folder: two that write into the same one would destroy each other's files."""

from __future__ import annotations

import atexit
import json
import os
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dam_components.atomic_files import write_whole

__all__ = ["check_writable", "hold_folders", "release_folders"]

LOCK, HOLDER = ".in_use.lock", ".in_use.json"
WAIT_S = 10.0  # for the workers of a killed process to end, which hold its lock
_held: dict[Path, tuple[FileLock, int]] = {}  # and the process that has it


def hold_folders(*folders: str | os.PathLike) -> None:
    """Makes the folders and keeps every other process out of them, until :func:`release_folders` or this one's end.

    Of several processes that torchrun starts, the first holds them for all. A folder that this process holds already is
    held on. That the folders can be written to is found out on the way.

    Args:
        folders: where a run writes.

    Raises:
        OSError: in one line that names the folder: it cannot be written to, or another process has it (named too).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     hold_folders(folder)
        ...     print(sorted(file.name for file in Path(folder).iterdir()))
        ...     release_folders()
        ...     print(sorted(file.name for file in Path(folder).iterdir()))
        ['.in_use.json', '.in_use.lock']
        []
    """
    if int(os.environ.get("RANK", 0)):
        return
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        if folder not in _held:
            _held[folder] = _hold(folder), os.getpid()


def release_folders() -> None:
    """Gives back all folders that this process holds, and leaves no trace in them; the end of the process does so too.

    A process that waits for the file which is removed here notices that it is gone.
    """
    for folder, (lock, owner) in [*_held.items()]:
        if os.getpid() == owner:  # not a worker that was forked
            (folder / HOLDER).unlink(missing_ok=True)
            (folder / LOCK).unlink(missing_ok=True)
            lock.release()
        del _held[folder]


atexit.register(release_folders)


def check_writable(folder: str | os.PathLike) -> None:
    """Makes a folder that several processes may share, and finds out before the work whether it can be written to.

    Raises:
        OSError: in one line that names the folder, if not.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     check_writable(folder + "/new")
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=str(folder)) as probe:
            probe.write(b"0" * 4096)
    except OSError as error:
        raise OSError(
            f"{folder} cannot be written to ({error.strerror or error}): free it, or name another folder"
        ) from None


def _hold(folder: Path) -> FileLock:
    check_writable(folder)
    lock = FileLock(folder / LOCK)
    try:
        _acquire(lock, folder)
        write_whole(folder / HOLDER, json.dumps(_this_process()) + "\n")
    except Timeout:
        raise OSError(
            f"{folder} is in use by {_holder(folder)}: wait until it has ended, or name another folder"
        ) from None
    except OSError as error:
        raise OSError(
            f"{folder} cannot be written to ({error.strerror or error}): free it, or name another folder"
        ) from None
    return lock


def _acquire(lock: FileLock, folder: Path) -> None:
    """The lock at once, or once the workers of a process that is no more have ended.

    Raises:
        Timeout: another process has it.
    """
    end = time.monotonic() + WAIT_S
    while True:
        try:
            lock.acquire(timeout=0)
            return
        except Timeout:
            if _holder_lives(folder) or time.monotonic() > end:
                raise
            time.sleep(0.2)


def _this_process() -> dict[str, object]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"process": os.getpid(), "machine": socket.gethostname(), "command": command[:200]}


def _read(folder: Path) -> dict[str, object]:
    with suppress(OSError, ValueError):
        return dict(json.loads((folder / HOLDER).read_text(encoding="utf-8")))
    return {}


def _holder(folder: Path) -> str:
    found = _read(folder)
    if not found:
        return "another process"
    return f"process {found['process']} on {found['machine']} ({found['command']})"


def _holder_lives(folder: Path) -> bool:
    """Whether the process that is named in the folder runs; yes where that cannot be known.

    No where none is named: the holder is about to write its name, or has just removed it and lets go.
    """
    found = _read(folder)
    if not found:
        return False
    if found.get("machine") != socket.gethostname():
        return True
    try:
        os.kill(int(str(found["process"])), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError, KeyError):
        pass
    return True
