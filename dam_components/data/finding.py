"""What a check of a dataset has to say: one line that names the file and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["LEVELS", "SHOWN", "Finding", "at_level", "first_names", "summary_lines"]

SHOWN = 3  # files that are named of a kind
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


def first_names(names: Sequence[str], shown: int = SHOWN) -> str:
    """The first names of a list, and how many more there are.

    Example:
        >>> first_names(["a", "b", "c"], shown=2)
        'a, b and 1 more'
    """
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def summary_lines(findings: Iterable[Finding]) -> list[str]:
    """One line for each kind of problem, errors first, with the number of files and the first three.

    Two findings are of one kind if they differ in nothing but numbers and paths; the line has the words of the first.

    Example:
        >>> files = ["a.nii", "b.nii", "c.nii", "d.nii"]
        >>> print(*summary_lines(Finding("error", file, "holds NaN", "replace them") for file in files))
        error: a.nii holds NaN (4 files: a.nii, b.nii, c.nii and 1 more): replace them
    """
    listed = list(findings)
    lines = []
    for level in LEVELS:
        kinds: dict[tuple[str, str], list[Finding]] = {}
        for finding in at_level(listed, level):
            kind = re.sub(r"\S*[/\\]\S*|[-+]?\d[\d.,e+-]*", "#", finding.what)
            kinds.setdefault((kind, finding.remedy), []).append(finding)
        for (_, remedy), same in kinds.items():
            first = same[0]
            if len(same) > 1:
                names = first_names([finding.where for finding in same])
                first = Finding(level, first.where, f"{first.what} ({len(same)} files: {names})", remedy)
            lines.append(str(first))
    return lines
