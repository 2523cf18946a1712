"""Whether networks are judged by cases that they learned from."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["warn_of_known_cases"]

logger = logging.getLogger(__name__)


def warn_of_known_cases(cases: Iterable[Mapping[str, Any]], weights: str | os.PathLike | Sequence[str]) -> int:
    """Says how many of these cases the networks learned from, where their bundle names its cases.

    Args:
        cases: each with its name as ``case``.
        weights: of S, in a bundle's ``models``. Its ``docs/cases.json`` has the names under ``train``. Weights that
            lie elsewhere say nothing.

    Returns:
        How many cases are known; 0 for weights that say nothing.
    """
    files = [weights] if isinstance(weights, (str, os.PathLike)) else weights
    known: set[str] = set()
    for file in {Path(file).absolute().parents[1] / "docs" / "cases.json" for file in files}:
        if file.is_file():
            known |= {*json.loads(file.read_text(encoding="utf-8")).get("train", ())}
    names = {str(case["case"]) for case in cases}
    if count := len(names & known):
        logger.warning(
            "the networks learned from %d of these %d cases (docs/cases.json beside the weights), so Dice and "
            "confidence look better than on cases that are new",
            count,
            len(names),
        )
    return count
