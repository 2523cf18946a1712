"""Maps of images that are not among the studies: fetched by a name that cannot be guessed, removed after a while."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path

__all__ = ["UPLOADS", "Uploads"]


class Uploads:
    """Files that a client may fetch for some minutes.

    Args:
        minutes: how long a file is kept.
        folder: where; only this user may read it.
    """

    def __init__(self, minutes: float, folder: str | os.PathLike) -> None:
        self.seconds = 60 * minutes
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, file: str | os.PathLike) -> str:
        """Moves a file here and gives the name by which it is found."""
        name = secrets.token_hex(16)
        shutil.move(str(file), self.folder / name)
        return name

    def find(self, name: str) -> Path | None:
        """The file of that name, if it is still there."""
        self.remove_old()
        file = self.folder / name
        return file if file.is_file() else None

    def remove_old(self) -> None:
        """Removes what is older than it may be."""
        for file in self.folder.iterdir():
            if time.time() - file.stat().st_mtime > self.seconds:
                file.unlink(missing_ok=True)


# serve.py names the folder: MONAI Label loads the app's modules a second time, and both must find the same files
UPLOADS = Uploads(float(os.environ.get("DAM_UPLOAD_MINUTES", 60)), os.environ.get("DAM_UPLOADS", "uploads"))
