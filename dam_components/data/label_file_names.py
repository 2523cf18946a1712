"""Which image a label file goes with, by their names."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["image_of_label", "is_label_alone", "marked_base", "names_label"]

WORD = r"(seg|segm|segmentations?|labels?|labelmap|masks?|msk|gt|dseg|manual|annotation)"
LAST = re.compile(rf"(?P<base>.+)[-_.]{WORD}", re.IGNORECASE)
FIRST = re.compile(rf"{WORD}(?P<rest>[-_.].+|\d.*)", re.IGNORECASE)
ALONE = re.compile(rf"{WORD}([-_.]{WORD})*", re.IGNORECASE)


def is_label_alone(stem: str) -> bool:
    """Whether a name says that the file is a label, and nothing of the case.

    Example:
        >>> is_label_alone("segmentation"), is_label_alone("Segmentation.seg"), is_label_alone("a_seg")
        (True, True, False)
    """
    return bool(ALONE.fullmatch(stem))


def marked_base(stem: str) -> str | None:
    """What stands before the word for a label at the end of a name; ``None`` without one.

    Example:
        >>> marked_base("IBSR_01_seg"), marked_base("IBSR_01")
        ('IBSR_01', None)
    """
    found = None if is_label_alone(stem) else LAST.fullmatch(stem)
    return found["base"] if found else None


def numbered_rest(stem: str) -> str | None:
    """What stands after the word for a label at the start of a name; ``None`` without one.

    Example:
        >>> numbered_rest("segmentation-0"), numbered_rest("label0001"), numbered_rest("labelled")
        ('-0', '0001', None)
    """
    found = None if is_label_alone(stem) else FIRST.fullmatch(stem)
    return found["rest"] if found else None


def names_label(stem: str) -> bool:
    """Whether a name says that the file is the label of a case that it names too.

    Example:
        >>> [names_label(stem) for stem in ("a_seg", "label0001", "seg", "a")]
        [True, True, False, False]
    """
    return marked_base(stem) is not None or numbered_rest(stem) is not None


def image_of_label(stem: str, images: Collection[str]) -> str | None:
    """The one image that a label goes with: of the same name, or of one that differs in the word for a label.

    Args:
        stem: the label's name, without its ending.
        images: names of the images, without theirs.

    Returns:
        The image's name; ``None`` if there is none, or more than one.

    Example:
        >>> [image_of_label(label, ["img0001", "a_ct", "b"]) for label in ("label0001", "a_seg", "b_mask", "c")]
        ['img0001', 'a_ct', 'b', None]
    """
    base, rest = marked_base(stem), numbered_rest(stem)
    if stem in images:
        return stem
    if base is not None and base in images:
        return base
    found = [] if base is None else [name for name in images if re.match(rf"{re.escape(base)}[-_.]", name)]
    if not found and rest is not None:
        found = [name for name in images if re.fullmatch(rf"([^\W\d_]+{re.escape(rest)}|{re.escape(rest[1:])})", name)]
    return found[0] if len(found) == 1 else None
