"""The error about a file: which one, what is wrong with it, what to do."""

from __future__ import annotations

import os

__all__ = ["BadFile"]


class BadFile(ValueError):
    """One line about one file.

    Args:
        file: its path.
        what: what is wrong, as the end of a sentence that begins with the path.
        remedy: what to do about it.

    Example:
        >>> raise BadFile("a.nii.gz", "is cut short", "fetch it again")
        Traceback (most recent call last):
        ...
        dam_components.data.bad_file.BadFile: a.nii.gz is cut short; fetch it again
    """

    def __init__(self, file: str | os.PathLike, what: str, remedy: str) -> None:
        super().__init__(f"{file} {what}; {remedy}")
        self.file = str(file)
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[BadFile], tuple[str, str, str]]:  # loaders send errors between processes
        return type(self), (self.file, self.what, self.remedy)
