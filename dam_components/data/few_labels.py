"""A few labelled cases and the rest without their labels: what semi-supervised training starts from."""

from __future__ import annotations

import os
from typing import Any

from sklearn.model_selection import ShuffleSplit

from dam_components.data.dataset_split import decathlon_split

__all__ = ["labelled_subset"]

PARTS = ("labelled", "unlabelled")


def labelled_subset(
    dataset_dir: str | os.PathLike,
    section: str,
    part: str,
    labelled: int = 20,
    labelled_seed: int = 0,
    **split: Any,
) -> list[dict[str, Any]]:
    """The cases of a section that keep their labels, or the others without theirs.

    A bundle's JSON calls it as a ``_target_``, once for each part: with the same numbers the two share no case and
    make up the section.

    Args:
        dataset_dir: see :func:`decathlon_split`.
        section: see :func:`decathlon_split`.
        part: "labelled", or "unlabelled": the dictionaries of those hold no ``label``.
        labelled: how many cases keep their labels.
        labelled_seed: of the draw; the order of the cases does not matter.
        split: what else :func:`decathlon_split` takes: ``fold``, ``folds``, ``validation``, ``seed``, ...

    Returns:
        A dictionary a case, in the order of the names, as from :func:`decathlon_split`.

    Raises:
        ValueError: if ``part`` is neither of the two, or ``labelled`` leaves one of them without a case.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}.")
    cases = decathlon_split(dataset_dir, section, **split)
    if isinstance(labelled, bool) or not isinstance(labelled, int) or not 1 <= labelled < len(cases):
        raise ValueError(
            f"labelled must be an integer from 1 to {len(cases) - 1}, so that some of the {len(cases)} cases of "
            f"section {section} stay without labels, got {labelled!r}."
        )
    drawn = set(next(ShuffleSplit(1, train_size=labelled, random_state=labelled_seed).split(cases))[0])
    if part == "labelled":
        return [case for i, case in enumerate(cases) if i in drawn]
    return [{k: v for k, v in case.items() if k != "label"} for i, case in enumerate(cases) if i not in drawn]
