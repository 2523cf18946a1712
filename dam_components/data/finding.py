"""What a check of a dataset has to say: one line that names the file and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LEVELS", "Finding", "at_level"]

LEVELS = ("error", "warning", "note")  # an error keeps a bundle from being written


@dataclass(frozen=True)
class Finding:
    """One thing about a dataset that its owner should know.

    Args:
        level: one of :data:`LEVELS`.
        where: the file or the case.
        what: what is wrong with it.
        remedy: what to do about it; may be empty for a note.

    Raises:
        ValueError: another level.

    Example:
        >>> print(Finding("error", "a.nii.gz", "holds NaN or infinite voxels", "replace them"))
        error: a.nii.gz holds NaN or infinite voxels: replace them
    """

    level: str
    where: str
    what: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {self.level!r}")

    def __str__(self) -> str:
        return f"{self.level}: {self.where} {self.what}" + (f": {self.remedy}" if self.remedy else "")


def at_level(findings: Iterable[Finding], level: str) -> list[Finding]:
    """Those of one level, in their order."""
    return [finding for finding in findings if finding.level == level]
