"""Which cases train, validate and test: k-fold, two-fold and leave-one-out splits, stored as JSON and read back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from sklearn.model_selection import KFold, ShuffleSplit

from dam_components.atomic_files import write_whole
from dam_components.data.dataset_layouts import CASE_KEY, PATIENT_KEY, case_name
from dam_components.data.decathlon_list import read_decathlon_list
from dam_components.data.finding import first_names

__all__ = [
    *("Fold", "case_patients", "decathlon_split", "fold_count", "make_folds", "out_of_fold_cases", "read_folds"),
    "write_folds",
]

SECTIONS = ("train", "validation", "test")


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
    _check_distinct(names, "cases")
    owned = _by_patient(names, patients or {})
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


def decathlon_split(
    dataset_dir: str | os.PathLike,
    section: str,
    fold: int = 0,
    folds: int = 5,
    validation: float | int = 20,
    seed: int = 0,
    folds_file: str | os.PathLike | None = None,
    parts: int = 1,
    leave_out: int | None = None,
) -> list[dict[str, Any]]:
    """The cases of one section of one fold of a dataset in the Medical Segmentation Decathlon's layout.

    A bundle's JSON calls it as a ``_target_``. A case is named after its image file without ``.nii.gz``, or, where
    a case has several images, after its label file.

    Args:
        dataset_dir: the folder that holds ``dataset.json``.
        section: ``train``, ``validation``, ``test``, or ``all`` for every labelled case.
        fold: which fold, from 0.
        folds: see ``make_folds``.
        validation: see ``make_folds``.
        seed: see ``make_folds``.
        folds_file: takes the folds from this file of ``write_folds``, in place of ``folds``, ``validation``, ``seed``.
        parts: for cross-fitting: divides the section's cases into this many parts, by ``seed``, and adds ``part``
            (from 0) to each dictionary.
        leave_out: leaves the cases of this part out.

    Returns:
        A dictionary a case, in the order of the names: ``image`` and ``label`` (absolute paths), ``case`` (the name).

    Raises:
        FileNotFoundError: when the folder, its ``dataset.json`` or a file that this names is missing.
        ValueError: when ``section``, ``fold``, ``parts`` or ``leave_out`` is out of range, ``dataset.json`` is damaged,
            or the folds don't fit.
    """
    if section not in (*SECTIONS, "all"):
        raise ValueError(f"section must be one of {', '.join(SECTIONS)} or all, got {section!r}.")
    by_case, patients = _labelled_cases(Path(dataset_dir))
    if section == "all":
        return _in_parts(list(by_case.values()), patients, parts, leave_out, seed)
    if folds_file:
        splits = read_folds(folds_file, by_case)
    else:
        splits = make_folds([*by_case], folds, validation, seed, patients)
    if not 0 <= fold < len(splits):
        raise ValueError(
            f"fold must be from 0 to {len(splits) - 1}, got {fold!r}: there are {len(splits)} folds; see the bundle's "
            "options folds#fold and folds#folds."
        )
    chosen = [by_case[name] for name in splits[fold][section]]  # type: ignore[literal-required]
    return _in_parts(chosen, patients, parts, leave_out, seed)


def case_patients(dataset_dir: str | os.PathLike) -> dict[str, str]:
    """Whose the labelled cases are, by name: ``patient`` of their entries in ``dataset.json``, where they have one.

    Raises:
        FileNotFoundError, ValueError: as ``decathlon_split``.
    """
    return _labelled_cases(Path(dataset_dir))[1]


def out_of_fold_cases(dataset_dir: str | os.PathLike, fold: int = 0, **split: Any) -> list[dict[str, Any]]:
    """Every labelled case, with the number of the fold that tests it as ``part``: its S did not learn from the case.

    Args:
        dataset_dir: see ``decathlon_split``.
        fold: of no matter; a configuration's ``folds`` holds it.
        split: ``folds``, ``validation``, ``seed`` and ``folds_file`` of ``decathlon_split``.

    Raises:
        FileNotFoundError, ValueError: as ``decathlon_split``.
    """
    tested = [
        (case, number)
        for number in range(fold_count(dataset_dir, **split))
        for case in decathlon_split(dataset_dir, "test", number, **split)
    ]
    return sorted(({**case, "part": number} for case, number in tested), key=lambda case: str(case["case"]))


def fold_count(
    dataset_dir: str | os.PathLike, folds: int = 5, folds_file: str | os.PathLike | None = None, **split: Any
) -> int:
    """How many folds there are: those of ``folds_file``, where one is given.

    Args:
        dataset_dir: see ``decathlon_split``.
        folds: see ``decathlon_split``.
        folds_file: see ``decathlon_split``.
        split: what else says how cases are split; of no matter.

    Raises:
        FileNotFoundError, ValueError: as ``decathlon_split``.
    """
    return len(read_folds(folds_file, _labelled_cases(Path(dataset_dir))[0])) if folds_file else folds


def _by_patient(names: Sequence[str], patients: Mapping[str, str]) -> list[list[str]]:
    """The names of each patient's cases, in the order of the patients."""
    owned: dict[str, list[str]] = {}
    for name in names:
        owned.setdefault(patients.get(name, name), []).append(name)
    return [owned[patient] for patient in sorted(owned)]


def _in_parts(
    cases: list[dict[str, Any]], patients: Mapping[str, str], parts: int, leave_out: int | None, seed: int
) -> list[dict[str, Any]]:
    """Marks each case with its part and leaves one part out."""
    owned = _by_patient([case["case"] for case in cases], patients)
    if isinstance(parts, bool) or not isinstance(parts, int) or not 1 <= parts <= max(len(owned), 1):
        drawn_as = "cases" if len(owned) == len(cases) else "patients"
        raise ValueError(f"parts must be an integer from 1 to the number of {drawn_as}, {len(owned)}, got {parts!r}.")
    if leave_out is not None and (parts == 1 or leave_out not in range(parts)):
        raise ValueError(f"leave_out must be None or one of {parts} parts, counted from 0, got {leave_out!r}.")
    if parts == 1:
        return cases
    held = [test for _, test in KFold(parts, shuffle=True, random_state=seed).split(owned)]
    part_of = {name: part for part, test in enumerate(held) for i in test for name in owned[i]}
    marked = [{**case, "part": part_of[case["case"]]} for case in cases]
    return [case for case in marked if case["part"] != leave_out]


def _labelled_cases(dataset_dir: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Image, label and name of each entry under ``training``, by name, sorted; and the patients that are given."""
    index_file = dataset_dir.absolute() / "dataset.json"
    if not index_file.is_file():
        raise FileNotFoundError(
            f"no dataset.json in {dataset_dir}: name a folder in the Medical Segmentation Decathlon layout with "
            "--dataset_dir, or the folder that holds it with DAM_DATA; monai.apps.DecathlonDataset(root_dir, "
            "'Task04_Hippocampus', 'training', download=True) gets the hippocampus set."
        )
    try:
        entries = read_decathlon_list(index_file, "training")
        cases = [{"image": e["image"], "label": e["label"], "case": _case_name(e)} for e in entries]
        patients = {_case_name(e): e[PATIENT_KEY] for e in entries if PATIENT_KEY in e}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{index_file} must list image and label of each case under 'training', but reading it ended with "
            f"{error!r}: mend it, or get the dataset anew."
        ) from error
    if not cases:
        raise ValueError(f"{index_file} lists no case under 'training': a dataset needs labelled cases.")
    cases.sort(key=lambda case: case["case"])
    _check_distinct([case["case"] for case in cases], str(index_file))
    files = [f for case in cases for f in (*_as_list(case["image"]), case["label"])]
    if missing := [f for f in files if not os.path.exists(f)]:
        raise FileNotFoundError(f"{index_file} names files that don't exist: {_some(missing)}; get the dataset anew.")
    return {case["case"]: case for case in cases}, patients


def _case_name(entry: dict[str, Any]) -> str:
    images = _as_list(entry["image"])
    if CASE_KEY in entry:
        return str(entry[CASE_KEY])
    return case_name(images[0] if len(images) == 1 else entry["label"])


def _as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _validation_count(validation: float | int, total: int) -> int:
    if isinstance(validation, int) and not isinstance(validation, bool) and validation >= 0:
        return validation
    if isinstance(validation, float) and 0 <= validation < 1:
        return round(validation * total)
    raise ValueError(f"validation must be a count (integer) or a share (float) in [0, 1) of cases, got {validation!r}.")


def _check_distinct(names: Sequence[str], where: str) -> None:
    if twice := sorted({a for a, b in zip(names, names[1:], strict=False) if a == b}):
        raise ValueError(f"{where} must have distinct case names, got twice: {_some(twice)}; rename the files.")


def _some(names: Sequence[str]) -> str:
    return first_names(names, shown=5)
