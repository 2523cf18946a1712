"""The cases of a section of a fold, and of the parts of cross-fitting, from a dataset's ``dataset.json``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sklearn.model_selection import KFold

from dam_components.data.dataset_layouts import CASE_KEY, PATIENT_KEY, case_name
from dam_components.data.decathlon_list import read_decathlon_list
from dam_components.data.finding import first_names
from dam_components.data.folds import by_patient, check_distinct, make_folds, read_folds

__all__ = ["decathlon_split", "fold_count", "out_of_fold_cases", "patients_of"]

SECTIONS = ("train", "validation", "test")


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
        A dictionary a case, by name: ``image`` and ``label`` (absolute paths), ``case`` (the name), and
        ``patient`` where ``dataset.json`` names the patients; a case without one is its own.

    Raises:
        FileNotFoundError: when the folder, its ``dataset.json`` or a file that this names is missing.
        ValueError: when ``section``, ``fold``, ``parts`` or ``leave_out`` is out of range, ``dataset.json`` is damaged,
            or the folds don't fit.
    """
    if section not in (*SECTIONS, "all"):
        raise ValueError(f"section must be one of {', '.join(SECTIONS)} or all, got {section!r}.")
    by_case = _labelled_cases(Path(dataset_dir))
    if section == "all":
        return _in_parts(list(by_case.values()), parts, leave_out, seed)
    if folds_file:
        splits = read_folds(folds_file, by_case)
    else:
        splits = make_folds([*by_case], folds, validation, seed, patients_of(by_case.values()))
    if not 0 <= fold < len(splits):
        raise ValueError(
            f"fold must be from 0 to {len(splits) - 1}, got {fold!r}: there are {len(splits)} folds; see the bundle's "
            "options folds#fold and folds#folds."
        )
    chosen = [by_case[name] for name in splits[fold][section]]  # type: ignore[literal-required]
    return _in_parts(chosen, parts, leave_out, seed)


def patients_of(cases: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Whose the cases of ``decathlon_split`` are, by name; a case without ``patient`` is its own.

    Example:
        >>> patients_of([{"case": "a_1", "patient": "a"}, {"case": "b"}])
        {'a_1': 'a', 'b': 'b'}
    """
    return {str(case[CASE_KEY]): str(case.get(PATIENT_KEY, case[CASE_KEY])) for case in cases}


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
    return len(read_folds(folds_file, _labelled_cases(Path(dataset_dir)))) if folds_file else folds


def _in_parts(cases: list[dict[str, Any]], parts: int, leave_out: int | None, seed: int) -> list[dict[str, Any]]:
    """Marks each case with its part and leaves one part out."""
    owned = by_patient([case["case"] for case in cases], patients_of(cases))
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


def _labelled_cases(dataset_dir: Path) -> dict[str, dict[str, Any]]:
    """Image, label and name of each entry under ``training``, by name, sorted; patients of all, if any has one."""
    index_file = dataset_dir.absolute() / "dataset.json"
    if not index_file.is_file():
        raise FileNotFoundError(
            f"no dataset.json in {dataset_dir}: name a folder in the Medical Segmentation Decathlon layout with "
            "--dataset_dir, or the folder that holds it with DAM_DATA; monai.apps.DecathlonDataset(root_dir, "
            "'Task04_Hippocampus', 'training', download=True) gets the hippocampus set."
        )
    try:
        entries = read_decathlon_list(index_file, "training")
        cases = [{"image": e["image"], "label": _label(e), "case": _case_name(e)} for e in entries]
        if any(PATIENT_KEY in e for e in entries):  # a batch holds the same keys of each case
            for case, e in zip(cases, entries, strict=True):
                case[PATIENT_KEY] = e.get(PATIENT_KEY, case["case"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{index_file} must list image and label of each case under 'training', but reading it ended with "
            f"{error!r}: mend it, or get the dataset anew."
        ) from error
    if not cases:
        raise ValueError(f"{index_file} lists no case under 'training': a dataset needs labelled cases.")
    cases.sort(key=lambda case: case["case"])
    check_distinct([case["case"] for case in cases], str(index_file))
    files = [f for case in cases for f in (*_as_list(case["image"]), case["label"])]
    if missing := [f for f in files if not os.path.exists(f)]:
        raise FileNotFoundError(
            f"{index_file} names files that don't exist: {first_names(missing, shown=5)}; get the dataset anew."
        )
    return {case["case"]: case for case in cases}


def _label(entry: dict[str, Any]) -> str:
    if isinstance(entry["label"], dict):
        raise ValueError("a label of a file for each structure, which dam new_bundle makes one of")
    return str(entry["label"])


def _case_name(entry: dict[str, Any]) -> str:
    images = _as_list(entry["image"])
    if CASE_KEY in entry:
        return str(entry[CASE_KEY])
    return case_name(images[0] if len(images) == 1 else entry["label"])


def _as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
