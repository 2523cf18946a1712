"""Folds: which cases train, validate and test; k-fold, two-fold and leave-one-out, stored as JSON and read back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from sklearn.model_selection import KFold, ShuffleSplit

from dam_components.atomic_files import write_whole
from dam_components.data.finding import first_names

__all__ = ["Fold", "by_patient", "check_distinct", "make_folds", "read_folds", "write_folds"]


class Fold(TypedDict):
    """Case names of one fold, sorted; every case is in exactly one of the three."""

    train: list[str]
    validation: list[str]
    test: list[str]


def make_folds(
    cases: Sequence[str],
    folds: int,
    validation: float | int,
    seed: int,
    patients: Mapping[str, str] | None = None,
) -> list[Fold]:
    """Splits cases into folds, each with its own validation share.

    Every case is tested in exactly one fold. The validation cases of a fold are drawn from those that it does not
    test. One fold tests nothing: all cases train or validate. The order of ``cases`` does not matter. The cases of a
    patient are drawn together, so that none is judged by a network that learned from another image of that patient.

    Args:
        cases: distinct case names.
        folds: 1 tests nothing, 2 is two-fold, ``len(cases)`` leave-one-out.
        validation: how many cases of a fold validate; a float is a share of all cases, rounded.
        seed: of both draws.
        patients: whose the cases are, by name; a case that is not in it is of a patient of its own.

    Returns:
        One dictionary a fold: ``train``, ``validation`` and ``test``, each a sorted list of case names.

    Raises:
        ValueError: when a name occurs twice, ``folds`` is not in 1..len(cases) (of the patients, where these are
            fewer), or no case is left to train.

    Example:
        >>> fold = make_folds([f"case{i}" for i in range(50)], folds=5, validation=0.1, seed=0)[0]
        >>> [len(fold[section]) for section in ("train", "validation", "test")]
        [35, 5, 10]
        >>> of = {"a1": "a", "a2": "a"}
        >>> [fold["test"] for fold in make_folds(["a1", "a2", "b", "c"], 3, validation=0, seed=0, patients=of)]
        [['c'], ['b'], ['a1', 'a2']]
    """
    names = sorted(cases)
    check_distinct(names, "cases")
    owned = by_patient(names, patients or {})
    drawn_as = "cases" if len(owned) == len(names) else "patients"
    if isinstance(folds, bool) or not isinstance(folds, int) or not 1 <= folds <= len(owned):
        raise ValueError(f"folds must be an integer from 1 to the number of {drawn_as}, {len(owned)}, got {folds!r}.")
    wanted = _validation_count(validation, len(names))
    count = max(round(wanted * len(owned) / len(names)), int(wanted > 0))
    tested = -(-len(owned) // folds) if folds > 1 else 0
    most = len(owned) - tested - 1  # the largest test set, and one case to train on
    if count > most:
        raise ValueError(
            f"validation={validation!r} leaves no case to train on: {folds} folds of {len(owned)} {drawn_as} allow at "
            f"most {max(most, 0)} of them to validate; lower validation (folds#validation)."
        )
    result: list[Fold] = []
    draw = np.random.RandomState(seed)  # shared by the folds: each draws its own validation cases
    whole = [(np.arange(len(owned)), np.arange(0))]
    for rest, test in KFold(folds, shuffle=True, random_state=seed).split(owned) if folds > 1 else whole:
        if count:
            kept, drawn = next(ShuffleSplit(1, test_size=count, random_state=draw).split(rest))
            train, held = rest[kept], rest[drawn]
        else:
            train, held = rest, rest[:0]
        parts = (sorted(name for i in part for name in owned[i]) for part in (train, held, test))
        result.append(Fold(train=next(parts), validation=next(parts), test=next(parts)))
    return result


def write_folds(
    file: str | os.PathLike,
    cases: Sequence[str],
    folds: int = 5,
    validation: float | int = 20,
    seed: int = 0,
    patients: Mapping[str, str] | None = None,
) -> list[Fold]:
    """Makes folds and stores them as JSON, with the parameters and the case names that they were made from.

    Args:
        file: where to; folders on the way are made, an existing file is replaced in one step.
        cases: see ``make_folds``.
        folds: see ``make_folds``.
        validation: see ``make_folds``.
        seed: see ``make_folds``.
        patients: see ``make_folds``.

    Returns:
        The folds, as ``read_folds`` reads them.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = write_folds(f"{folder}/folds.json", ["a", "b", "c"], folds=3, validation=1)
        ...     written == read_folds(f"{folder}/folds.json", ["a", "b", "c"])
        True
    """
    splits = make_folds(cases, folds, validation, seed, patients)
    content = {"seed": seed, "folds": folds, "validation": validation, "cases": sorted(cases), "splits": splits}
    write_whole(file, json.dumps(content, indent=1) + "\n")
    return splits


def read_folds(file: str | os.PathLike, cases: Iterable[str]) -> list[Fold]:
    """Reads folds that ``write_folds`` stored and checks that they are folds of these cases.

    Args:
        file: the JSON file.
        cases: the names of the cases that the data has.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is not a fold file, its cases are not those of the data, or a case is in two
            sections of a fold or in none.
    """
    remedy = "make it anew with dam_components.data.write_folds"
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        splits = [
            Fold(train=[*split["train"]], validation=[*split["validation"]], test=[*split["test"]])
            for split in content["splits"]
        ]
        if not splits:
            raise ValueError("no splits")
    except FileNotFoundError:
        raise FileNotFoundError(f"fold file {file} does not exist; {remedy}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"fold file {file} is damaged or no fold file ({error!r}); {remedy}.") from error
    here = set(cases)
    for index, split in enumerate(splits):
        placed = split["train"] + split["validation"] + split["test"]
        if unknown := sorted(set(placed) - here):
            raise ValueError(f"fold file {file} names cases that the data lacks: {_some(unknown)}; {remedy}.")
        if absent := sorted(here - set(placed)):
            raise ValueError(f"fold file {file} lacks cases that the data has: {_some(absent)}; {remedy}.")
        if len(placed) > len(here):
            twice = sorted({name for name in placed if placed.count(name) > 1})
            raise ValueError(f"fold file {file} has cases twice in fold {index}: {_some(twice)}; {remedy}.")
    return splits


def by_patient(names: Sequence[str], patients: Mapping[str, str]) -> list[list[str]]:
    """The names of each patient's cases, in the order of the patients."""
    owned: dict[str, list[str]] = {}
    for name in names:
        owned.setdefault(patients.get(name, name), []).append(name)
    return [owned[patient] for patient in sorted(owned)]


def _validation_count(validation: float | int, total: int) -> int:
    if isinstance(validation, int) and not isinstance(validation, bool) and validation >= 0:
        return validation
    if isinstance(validation, float) and 0 <= validation < 1:
        return round(validation * total)
    raise ValueError(f"validation must be a count (integer) or a share (float) in [0, 1) of cases, got {validation!r}.")


def check_distinct(names: Sequence[str], where: str) -> None:
    """Raises a ``ValueError`` if one of the sorted names occurs twice.

    Args:
        names: of cases, sorted.
        where: what holds them, for the message.
    """
    if twice := sorted({a for a, b in zip(names, names[1:], strict=False) if a == b}):
        raise ValueError(f"{where} must have distinct case names, got twice: {_some(twice)}; rename the files.")


def _some(names: Sequence[str]) -> str:
    return first_names(names, shown=5)
