"""Writing NIfTI files that are either whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from monai.data import NibabelWriter

__all__ = ["WholeFileWriter"]


class WholeFileWriter(NibabelWriter):
    """MONAI's NIfTI writer for ``SaveImaged(writer=...)``: writes to a temporary name, then renames."""

    def write(self, filename: Any, verbose: bool = True, **kwargs: Any) -> None:
        target = Path(filename)
        temporary = target.with_name(f".{os.getpid()}_{target.name}")  # same ending, which decides the compression
        try:
            super().write(temporary, verbose=False, **kwargs)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
