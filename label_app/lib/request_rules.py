"""What a client of MONAI Label may send: every value by its type and range, before MONAI sees it.

MONAI Label hands some values to MONAI's configuration parser, which evaluates text that begins with ``$``. It takes
file names and paths as they come. So nothing passes here that is not listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

__all__ = ["IMAGE_SUFFIXES", "Refused", "Rules", "Served"]

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
TAGS = ("final", "original", "confidence")
DTYPES = ("uint8", "uint16", "int16", "int32", "float32")
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+() -]{0,127}")
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.: -]{0,127}")
DEVICE = re.compile(r"cpu|cuda(:\d{1,2})?")
GPUS = re.compile(r"all|\d{1,2}(,\d{1,2}){0,15}")

Rule = Callable[[Any], bool]


class Refused(Exception):
    """A request that is not passed on.

    Args:
        status: of the HTTP answer.
        detail: one line that says what is wrong and what would be right.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def is_id(value: Any) -> bool:
    """A name without separators, as images, sessions and clients have.

    Example:
        >>> [is_id(name) for name in ("case 3", "1.2.840.1", "../x", "a/b", "$x", "a" * 200)]
        [True, True, False, False, False, False]
    """
    return isinstance(value, str) and bool(ID.fullmatch(value)) and ".." not in value and not value.endswith((".", " "))


def is_count(low: int, high: int) -> Rule:
    """A rule for whole numbers from ``low`` to ``high``; True is no number."""
    return lambda value: type(value) is int and low <= value <= high


def is_share(value: Any) -> bool:
    """A number from 0 to below 1."""
    return type(value) in (int, float) and 0 <= value < 1


def is_flag(value: Any) -> bool:
    """True or False, as JSON has it."""
    return type(value) is bool


def is_one_of(words: Sequence[str]) -> Rule:
    """A rule for one of these texts."""
    return lambda value: isinstance(value, str) and value in words


def matches(pattern: re.Pattern) -> Rule:
    """A rule for texts of this pattern."""
    return lambda value: isinstance(value, str) and bool(pattern.fullmatch(value)) and ".." not in value


def is_plain(value: Any, depth: int = 4) -> bool:
    """Numbers, flags and short words, in lists and dictionaries of them: nothing that a parser evaluates or opens.

    Example:
        >>> [is_plain(value) for value in ([{"name": "liver", "color": [0, 1, 2]}], "$x", {"a": "%b"}, "a/b")]
        [True, False, False, False]
    """
    if depth == 0:
        return False
    if isinstance(value, dict):
        pairs = list(value.items())
        return len(pairs) <= 200 and all(is_plain(k, 1) and is_plain(v, depth - 1) for k, v in pairs)
    if isinstance(value, list):
        return len(value) <= 200 and all(is_plain(entry, depth - 1) for entry in value)
    if isinstance(value, str):
        return value == "" or bool(WORD.fullmatch(value))
    return value is None or type(value) in (bool, int, float)


class Served:
    """What the server serves, asked when a request comes.

    Args:
        info: gives what ``GET /info/`` says.
        has_image: whether an image is among the studies.
        weights_of: the files of weights that a model offers.
    """

    def __init__(
        self,
        info: Callable[[], Mapping[str, Any]],
        has_image: Callable[[str], bool],
        weights_of: Callable[[str], Sequence[str]],
    ) -> None:
        self.info, self.has_image, self.weights_of = info, has_image, weights_of

    def need(self, kind: str, name: str) -> None:
        """Refuses a model, trainer, strategy or scoring method that there is not."""
        known = sorted(self.info().get(kind) or {})
        if name not in known:
            raise Refused(404, f"{kind} has no {short(name)}: {', '.join(known) or 'none is served'}")

    def need_image(self, image: str) -> None:
        """Refuses an image that is not among the studies."""
        if not is_id(image) or not self.has_image(image):
            raise Refused(404, f"no image {short(image)} among the studies: GET /datastore/?output=all lists them")


INFER = {
    "device": (matches(DEVICE), "cpu, cuda or cuda:1"),
    "model_filename": (matches(ID), "a file of weights that the model offers"),
    "result_extension": (is_one_of((".nii", ".nii.gz", ".nrrd")), ".nii, .nii.gz or .nrrd"),
    "result_dtype": (is_one_of(DTYPES), ", ".join(DTYPES)),
    "result_compress": (is_flag, "true or false"),
    "result_write_to_file": (is_flag, "true or false"),
    "restore_label_idx": (is_flag, "true or false"),
    "save_label": (is_flag, "true or false"),
    "label_tag": (is_one_of(TAGS), ", ".join(TAGS)),
    "label_info": (is_plain, "a list of names and colours"),
    "client_id": (matches(WORD), "a short name"),
    "logging": (is_one_of(("INFO", "WARNING", "ERROR")), "INFO, WARNING or ERROR"),
    "cache_transforms": (is_flag, "true or false"),
}
TRAIN = {
    "model": (matches(ID), "the model's name"),
    "max_epochs": (is_count(1, 100_000), "a whole number from 1 to 100000"),
    "val_split": (is_share, "a number from 0 to below 1"),
    "device": INFER["device"],
    "multi_gpu": (is_flag, "true or false"),
    "gpus": (matches(GPUS), "all, or numbers separated by commas"),
    "pretrained": (is_flag, "true or false"),
    "model_filename": INFER["model_filename"],
    "client_id": INFER["client_id"],
}
BATCH = {
    **{name: INFER[name] for name in ("device", "save_label", "label_tag", "client_id", "logging", "result_extension")},
    "multi_gpu": (is_flag, "true or false"),
    "gpus": TRAIN["gpus"],
    "images": (lambda value: isinstance(value, list) and all(map(is_id, value)), "a list of images"),
    "max_workers": (is_count(0, 64), "a whole number from 0 to 64"),
    "max_batch_size": (is_count(0, 100_000), "a whole number from 0 to 100000"),
}
SAMPLE = {
    "model": (matches(ID), "the model's name"),
    "label_tag": INFER["label_tag"],
    "labels": (is_plain, "a list of names"),
    "client_id": INFER["client_id"],
}


class Rules:
    """Checks the parts of a request.

    Args:
        served: what there is to ask for.
    """

    def __init__(self, served: Served) -> None:
        self.served = served

    def values(self, given: Any, known: Mapping[str, tuple[Rule, str]], model: str | None = None) -> None:
        """Refuses an option that there is not, or a value out of its range."""
        if not isinstance(given, dict):
            raise Refused(422, "the parameters must be a JSON object")
        for name, value in given.items():
            if name not in known:
                raise Refused(422, f"there is no parameter {short(name)}: {', '.join(known)}")
            rule, right = known[name]
            if not rule(value):
                raise Refused(422, f"{name} must be {right}, got {short(value)}")
            if name == "model_filename" and model is not None and value not in self.served.weights_of(model):
                raise Refused(422, f"model_filename must be one of {', '.join(self.served.weights_of(model))}")

    def upload(self, filename: str | None, what: str) -> None:
        """Refuses a file whose name is no plain name of an image."""
        name = filename or ""
        stem = name.lower()
        if not any(stem.endswith(suffix) for suffix in IMAGE_SUFFIXES):
            ends = ", ".join(IMAGE_SUFFIXES)
            raise Refused(422, f"{what} must be a file {ends}, got {short(PurePosixPath(name).name)}")
        if not is_id(name):
            raise Refused(422, f"{what}'s file name must be letters, digits, dots and dashes, got {short(name)}")

    def tag(self, tag: str | None) -> None:
        """Refuses a tag that labels do not have."""
        if tag and tag not in TAGS:
            raise Refused(422, f"tag must be one of {', '.join(TAGS)}, got {short(tag)}")

    def new_id(self, name: str | None) -> None:
        """Refuses a name that an image may not have."""
        if name and not is_id(name):
            raise Refused(422, f"image must be a name of letters, digits, dots and dashes, got {short(name)}")


def read_json(text: Any) -> Any:
    """JSON, or an empty object for nothing."""
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise Refused(422, f"the parameters are no JSON: {str(error)[:80]}") from None


def short(value: Any) -> str:
    """A value for a message: on one line, cut where it is long."""
    text = repr(value) if not isinstance(value, str) else value
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= 60 else f"{text[:60]}..."
