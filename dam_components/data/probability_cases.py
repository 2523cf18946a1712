"""Which cases have an image, a label and stored probabilities, and which fold of S did not train on each."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dam_components.data.dataset_layouts import CASE_KEY, SUFFIXES, case_stem, listed_name
from dam_components.data.finding import first_names
from dam_components.data.inference_cases import list_inference_cases
from dam_components.data.stored_probabilities import PROBABILITY_SUFFIXES

__all__ = [
    "FoldFile",
    "find_probabilities",
    "list_stored_cases",
    "match_cases",
    "nnunet_folder",
    "stored_training_cases",
]

logger = logging.getLogger(__name__)

PREPROCESSED = "nnUNet_preprocessed"  # the variable
PREDICTED = "predict_from_raw_data_args.json"  # nnUNetv2_predict leaves it beside what it writes


@dataclass(frozen=True)
class FoldFile:
    """A case's probabilities, and the fold whose validation they are from; ``None`` where no folds are known."""

    file: Path
    fold: int | None


def nnunet_folder(folder: str | os.PathLike) -> Path:
    """The folder with ``fold_0`` and so on: this one, or the only one in it, as ``nnUNet_results/Dataset004_X`` has.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: several trainings lie in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}; name that of the probabilities")
    if any(root.glob("fold_*")):
        return root
    inside = sorted({fold.parent for fold in root.glob("*/fold_*")})
    if len(inside) > 1:
        names = ", ".join(path.name for path in inside)
        raise ValueError(f"{root} holds several trainings ({names}): name one of these folders")
    return inside[0] if inside else root


def find_probabilities(
    folder: str | os.PathLike, splits: str | os.PathLike | None = None, in_sample: bool = False
) -> dict[str, FoldFile]:
    """The files of probabilities by case, with the folds that they are from.

    A results folder of nnU-Net has ``fold_K/validation/CASE.npz``, or ``fold_K/CASE.npz`` where one wrote it oneself.
    Any other folder has the files themselves; whether S trained on the cases is then the user's word, unless ``splits``
    says it.

    Args:
        folder: of the files, or nnU-Net's results.
        splits: nnU-Net's ``splits_final.json``, a list of ``{"train": [...], "val": [...]}``, one for each fold. By
            default the one in the results folder, or in ``nnUNet_preprocessed``.
        in_sample: take cases that S trained on too.

    Raises:
        FileNotFoundError: there is no such folder, or no file of probabilities in it.
        ValueError: a case is there twice, or S trained on it.
    """
    root = nnunet_folder(folder)
    folds = sorted(path for path in root.glob("fold_*") if path.is_dir())
    found: dict[str, FoldFile] = {}
    for path in folds:
        number = re.fullmatch(r"fold_(\d+)", path.name)
        if number is None and not in_sample:
            raise ValueError(
                f"{path} trained on all cases, so D would see no real errors: train folds (nnUNetv2_train ... 0 "
                "--npz), or insist with --in_sample"
            )
        held = path / "validation"  # nnU-Net's, where NIfTI files are segmentations
        inner, kinds = (held, (".npz",)) if held.is_dir() else (path, PROBABILITY_SUFFIXES)
        files = _files(inner, kinds)
        if not files:
            fold = path.name.removeprefix("fold_")
            raise FileNotFoundError(
                f"{inner} holds no probabilities: run nnUNetv2_train DATASET CONFIGURATION {fold} --val --npz"
            )
        for name, file in files.items():
            if name in found:
                raise ValueError(f"{file} and {found[name].file} are of the same case: keep one")
            found[name] = FoldFile(file, None if number is None else int(number[1]))
    if not folds:
        found = {name: FoldFile(file, None) for name, file in _files(root).items()}
        if not found:
            raise FileNotFoundError(f"{root} holds no probabilities ({', '.join(PROBABILITY_SUFFIXES)})")
        if (root / PREDICTED).is_file() and not in_sample and splits is None:
            raise ValueError(
                f"{root} was written by nnUNetv2_predict: if its networks trained on these cases, D sees no real "
                "errors; name the results folder with fold_0 and so on, or insist with --in_sample"
            )
    if not in_sample:
        found = _checked_folds(found, root, splits)
    return found


def match_cases(
    images: Mapping[str, Any], labels: Mapping[str, Any], probabilities: Mapping[str, Any], partial: bool = False
) -> list[str]:
    """The names of the cases that have all three, sorted.

    Args:
        images: by case.
        labels: by case.
        probabilities: by case.
        partial: leave out cases that lack one of the three.

    Raises:
        ValueError: a case lacks one of the three, or no case has them.

    Example:
        >>> match_cases({"a": 1, "b": 1}, {"a": 1, "b": 1}, {"a": 1}, partial=True)
        ['a']
    """
    kinds = {"image": images, "label": labels, "probabilities": probabilities}
    every = sorted({*images, *labels, *probabilities})
    common = [name for name in every if all(name in kind for kind in kinds.values())]
    missing = {what: [name for name in every if name not in kind] for what, kind in kinds.items()}
    if common and (partial or not any(missing.values())):
        return common
    parts = [f"{len(names)} cases have no {what} ({first_names(names)})" for what, names in missing.items() if names]
    remedy = "add them, or leave these cases out with --partial" if common else "name files as CASE.*"
    raise ValueError(f"{'; '.join(parts) or 'there is no case'}: {remedy}")


def list_stored_cases(
    dataset_dir: str | os.PathLike, probabilities_dir: str | os.PathLike | None, image_channels: int = 1
) -> list[dict[str, Any]]:
    """The cases of an inference from stored probabilities.

    ``[{"case": name, "image": path, "probabilities": path, "probabilities_file": path}, ...]``: the path that stays
    when the probabilities have been read.

    Args:
        dataset_dir: the images, as :func:`~dam_components.data.list_inference_cases` takes them.
        probabilities_dir: their probabilities, files of the same names.
        image_channels: of an image.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: an image is without probabilities. Files without an image are left out, which the log says.
    """
    if probabilities_dir is None:
        raise ValueError("the probabilities have no folder: name it with --probabilities_dir")
    images = images_by_case(dataset_dir, image_channels)
    root = Path(probabilities_dir)
    files = _files(root) if root.is_dir() else {}
    if not files:
        raise FileNotFoundError(f"{root} holds no probabilities ({', '.join(PROBABILITY_SUFFIXES)})")
    if missing := [name for name in images if name not in files]:
        raise ValueError(
            f"{len(missing)} cases have no probabilities ({first_names(missing)}): add their files to {root}, or take "
            f"their images out of {dataset_dir}"
        )
    if surplus := [name for name in files if name not in images]:
        logger.warning("left out %d files in %s without an image: %s", len(surplus), root, first_names(surplus))
    paths = {name: str(files[name]) for name in sorted(images)}
    return [
        {CASE_KEY: name, "image": images[name], "probabilities": path, "probabilities_file": path}
        for name, path in paths.items()
    ]


def images_by_case(folder: str | os.PathLike, image_channels: int = 1) -> dict[str, Any]:
    """Image file, or files of its channels, by case. nnU-Net's ``_0000`` is no part of the name."""
    return {listed_name(entry): entry["image"] for entry in list_inference_cases(folder, image_channels)}


def labels_by_case(folder: str | os.PathLike) -> dict[str, Path]:
    """Label files by case.

    Raises:
        FileNotFoundError: there is no such folder, or no label in it.
    """
    root = Path(folder)
    files = sorted(root.iterdir()) if root.is_dir() else []
    found = {case_stem(f): f for f in files if f.name.lower().endswith(SUFFIXES) and not f.name.startswith(".")}
    if not found:
        raise FileNotFoundError(f"{root} holds no label ({', '.join(SUFFIXES)}): name their folder with --labels")
    return found


def stored_training_cases(
    file: str | os.PathLike, leave_out: int | None = None, only: int | None = None
) -> list[dict[str, Any]]:
    """The cases of ``data/stored_cases.json``, which ``confidence fit`` writes: image, label, probabilities, part.

    Args:
        file: the list.
        leave_out: a part that is left out; ``None``: none.
        only: the only part that is taken; ``None``: all.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no case is left.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: run dam confidence fit, which writes it")
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    chosen = [
        {key: case[key] for key in ("case", "image", "label", "probabilities", "part")}
        for case in cases
        if case["part"] != leave_out and only in (None, case["part"])
    ]
    if not chosen:
        raise ValueError(f"{path} holds no case for leave_out={leave_out}, only={only}")
    return chosen


def _files(folder: Path, kinds: Sequence[str] = PROBABILITY_SUFFIXES) -> dict[str, Path]:
    """Files of probabilities by case. Beside ``.npz``, NIfTI files are nnU-Net's segmentations and do not count."""
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    found: dict[str, Path] = {}
    for suffix in (".npz",) if any(file.name.lower().endswith(".npz") for file in files) else kinds:
        for file in files:
            if file.name.lower().endswith(suffix):
                found.setdefault(file.name[: -len(suffix)], file)
    return found


def _checked_folds(found: dict[str, FoldFile], root: Path, splits: str | os.PathLike | None) -> dict[str, FoldFile]:
    """With the folds that the splits know, where there are any.

    Raises:
        ValueError: a case was trained on.
    """
    file = _splits_file(root, splits)
    if file is None:
        return found
    try:
        lists = json.loads(file.read_text(encoding="utf-8"))
        folds = [({*fold["train"]}, {*fold["val"]}) for fold in lists]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is no list of folds with train and val ({error!r}): name another") from None
    checked, learned = {}, []
    for name, entry in found.items():
        of_case = [number for number, (_, held) in enumerate(folds) if name in held]
        fold = entry.fold if entry.fold is not None or len(of_case) != 1 else of_case[0]
        if fold is None or fold >= len(folds) or name not in folds[fold][1]:
            learned.append(name)
        checked[name] = FoldFile(entry.file, fold)
    if learned:
        raise ValueError(
            f"{len(learned)} cases are not of their fold's validation in {file} ({first_names(learned)}), so S may "
            "have trained on them: take out-of-fold probabilities, or insist with --in_sample"
        )
    return checked


def _splits_file(root: Path, splits: str | os.PathLike | None) -> Path | None:
    """The splits that are named, else those in the results folder, else those of nnU-Net's preprocessed data."""
    if splits is not None:
        if not Path(splits).is_file():
            raise FileNotFoundError(f"there is no {splits}: name nnU-Net's splits_final.json with --splits")
        return Path(splits)
    preprocessed = os.environ.get(PREPROCESSED)
    places = [root / "splits_final.json", root.parent / "splits_final.json"]
    if preprocessed:
        places.append(Path(preprocessed) / root.absolute().parent.name / "splits_final.json")
    return next((place for place in places if place.is_file()), None)
