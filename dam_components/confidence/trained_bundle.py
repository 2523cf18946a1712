"""What a study of D needs of a bundle: its configuration, S and D, and its cases one at a time."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from tqdm import tqdm

from dam_components.confidence.doubt_scores import Confidence, Segmenter

__all__ = [
    "calibration_file",
    "comma_numbers",
    "comma_words",
    "confidence_map",
    "fold_numbers",
    "in_fold",
    "load_models",
    "named_entries",
    "plain_values",
    "read_bundle",
    "read_inference",
    "study_cases",
]


def read_bundle(bundle: str | os.PathLike, overlays: Sequence[str] = (), **overrides: Any) -> ConfigParser:
    """The bundle's evaluation, as ``monai.bundle run`` would read it: train, evaluate, overlays, overrides.

    Raises:
        FileNotFoundError: if one of the files is missing.
        ValueError: if an override names no entry.
    """
    root = Path(bundle)
    files = [root / "configs" / "train.json", root / "configs" / "evaluate.json", *(Path(file) for file in overlays)]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"no configuration {file}: name the bundle's folder with --bundle")
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    for name in overrides:
        if name not in parser:
            raise ValueError(f"no entry of the configuration is called {name}: see {files[0]}")
    # a copy: folds#fold is set within folds, which may be the caller's
    parser.update(copy.deepcopy({"bundle_root": str(root), **overrides}))
    return parser


def read_inference(bundle: str | os.PathLike) -> ConfigParser:
    """The bundle's inference, whose entries name the networks that it ships."""
    parser = ConfigParser()
    parser.read_config(str(Path(bundle) / "configs" / "inference.json"))
    parser.update({"bundle_root": str(bundle)})
    return parser


def named_entries(
    dataset_dir: str | None,
    weights: str | None,
    confidence_weights: str | None,
    fold: int | None,
    overrides: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Entries of the configuration that a command's options replace; an option that is ``None`` replaces nothing.

    Example:
        >>> named_entries(None, "s.pt", None, 2, {"channels": [4, 8]})
        {'channels': [4, 8], 'weights': 's.pt', 'folds#fold': 2}
    """
    options = {
        "dataset_dir": dataset_dir,
        "weights": weights,
        "confidence_weights": confidence_weights,
        "folds#fold": fold,
    }
    return plain_values(dict(overrides or {})) | {name: value for name, value in options.items() if value is not None}


def plain_values(value: Any) -> Any:
    """JSON's true, false and null, which the command line, reading Python, gives as text.

    Example:
        >>> plain_values({"amp": "true", "channels": [4, 8], "calibration": "null"})
        {'amp': True, 'channels': [4, 8], 'calibration': None}
    """
    return _texts(value, lambda text: {"true": True, "false": False, "null": None}.get(text, text))


def fold_numbers(fold: Any) -> list[int | None]:
    """The folds that a person names, separated by commas; ``None``, the configuration's own, stands alone.

    Raises:
        ValueError: one is no number.

    Example:
        >>> fold_numbers("0, 2"), fold_numbers(1), fold_numbers(None)
        ([0, 2], [1], [None])
    """
    return [None] if fold is None else comma_numbers(fold, "fold")


def in_fold(value: Any, fold: int | None) -> Any:
    """The value with ``{fold}`` in each of its texts replaced by the fold's number; as it is without one.

    Example:
        >>> in_fold({"weights": "fold{fold}/model.pt", "channels": [4, 8]}, 2)
        {'weights': 'fold2/model.pt', 'channels': [4, 8]}
    """
    return value if fold is None else _texts(value, lambda text: text.replace("{fold}", str(fold)))


def _texts(value: Any, change: Callable[[str], Any]) -> Any:
    """The value with each text in it changed, those within its dictionaries and lists as well."""
    if isinstance(value, dict):
        return {name: _texts(entry, change) for name, entry in value.items()}
    if isinstance(value, list):
        return [_texts(entry, change) for entry in value]
    return change(value) if isinstance(value, str) else value


def confidence_map(parser: ConfigParser) -> Confidence:
    """D as the configuration's ``ConfidenceMapd`` runs it: P̂ and X to M."""
    steps = parser.get_parsed_content("validate#postprocessing").transforms
    return next(step.confidence for step in steps if hasattr(step, "confidence"))


def load_models(parser: ConfigParser) -> tuple[Segmenter, Confidence, torch.device]:
    """S as configured, its :func:`confidence_map`, and the device of both.

    Raises:
        FileNotFoundError: without the weights.
        ValueError: if they are of another architecture.
    """
    segmenter = Segmenter(
        parser.get_parsed_content("network"),
        parser.get_parsed_content("validate#inferer"),
        parser.get_parsed_content("amp"),
    )
    return segmenter, confidence_map(parser), torch.device(parser.get_parsed_content("device"))


def calibration_file(parser: ConfigParser) -> Path:
    """Where the calibration of these networks lies: beside D's weights, so in the bundle's ``models`` by default."""
    return Path(str(parser.get_parsed_content("confidence_weights"))).with_name("calibration.json")


def study_cases(
    dataset: Any, limit: int | None, what: str, remedy: str = "name another --section"
) -> Iterator[Mapping[Any, Any]]:
    """The first cases with a progress bar; they are loaded one at a time.

    Args:
        dataset: preprocessed cases.
        limit: how many at most.
        what: they are for.
        remedy: what to do where there is none.

    Raises:
        ValueError: if the limit is below 1, or there is no case.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 case, got {limit}")
    count = len(dataset) if limit is None else min(limit, len(dataset))
    if not count:
        raise ValueError(f"no case for {what}: {remedy}")
    return (dataset[i] for i in tqdm(range(count), desc=what, unit="case"))


def comma_numbers(
    value: Any, name: str, what: str = "whole numbers", kind: Callable[[str], Any] = int, remedy: str = ""
) -> list[Any]:
    """The numbers that a person separates by commas.

    Args:
        value: as :func:`comma_words` takes it.
        name: of the option.
        what: it takes.
        kind: ``int`` or ``float``.
        remedy: what else to do, at the end of the message.

    Raises:
        ValueError: one is no such number, or there is none.

    Example:
        >>> comma_numbers("0, 2", "fold"), comma_numbers((0.5, 1), "severity", "positive numbers", float)
        ([0, 2], [0.5, 1.0])
    """
    try:
        numbers = [kind(word) for word in comma_words(value)]
    except ValueError:
        numbers = []
    if not numbers:
        raise ValueError(f"{name} must be {what} separated by commas, got {value!r}{remedy and ': ' + remedy}")
    return numbers


def comma_words(value: Any) -> list[str]:
    """What a person separates by commas, which the command line gives as text, a number, or a tuple already.

    Example:
        >>> comma_words("a, b"), comma_words((0.5, 1)), comma_words(2)
        (['a', 'b'], ['0.5', '1'], ['2'])
    """
    parts = value if isinstance(value, (list, tuple)) else str(value).split(",")
    return [str(part).strip() for part in parts if str(part).strip()]
