"""Writing NIfTI files that are either whole or not there."""

from __future__ import annotations

from typing import Any

from monai.data import NibabelWriter

from dam_components.atomic_files import whole_file

__all__ = ["WholeFileWriter"]


class WholeFileWriter(NibabelWriter):
    """MONAI's NIfTI writer for ``SaveImaged(writer=...)``: writes to a temporary name, then renames."""

    def write(self, filename: Any, verbose: bool = True, **kwargs: Any) -> None:
        """Writes the volume under a temporary name and renames it."""
        with whole_file(filename) as temporary:  # same ending, which decides the compression
            super().write(temporary, verbose=False, **kwargs)
