"""Reading the probabilities that some other model has stored, and checking that they are what D needs."""

from __future__ import annotations

import itertools
import logging
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from dam_components.errors import first_line
from dam_components.probabilities import NO_OVERLAP

__all__ = ["PROBABILITY_SUFFIXES", "check_order", "read_probabilities", "swapped_order"]

PROBABILITY_SUFFIXES = (".npz", ".npy", ".nii.gz", ".nii")
NNUNET_KEY, NNUNET_ORDER, NIFTI_ORDER = "probabilities", "czyx", "xyzc"
TOLERANCE = 1e-3  # of the sum over classes; single precision errs by 1e-6
HALF_TOLERANCE = 4e-3  # a value near 1 is off by up to 5e-4 in half precision, and there may be several
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    nibabel.filebasedimages.ImageFileError,
)
logger = logging.getLogger(__name__)


def read_probabilities(
    file: str | os.PathLike, shape: Sequence[int], num_classes: int, order: str | None = None
) -> np.ndarray:
    """The probabilities of a case, class first, then the image's axes as MONAI and nibabel read them.

    ``.npz`` with an entry ``probabilities`` is nnU-Net's: class first, then the axes reversed (``czyx``). NIfTI has the
    classes last (``xyzc``). ``.npy`` and other ``.npz`` need the order. Nothing is unpickled.

    Half precision is accepted with a line in the log: the largest probability is replaced by 1 minus the others, which
    half precision keeps better.

    Args:
        file: one case.
        shape: of the image, without channels, ``(x, y, z)``.
        num_classes: background included.
        order: the file's axes, a permutation of ``cxyz``; ``None``: by the kind of file.

    Returns:
        float32, ``(num_classes, *shape)``. A view where the file's order is another.

    Raises:
        ValueError: in one line that names the file and the remedy, if it cannot be read, lies on another grid, has
            another number of classes or swapped axes, or holds no probabilities that sum to one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/a.npz", probabilities=np.full((2, 5, 4, 3), 0.5, np.float32))
        ...     read_probabilities(f"{folder}/a.npz", shape=(3, 4, 5), num_classes=2).shape
        (2, 3, 4, 5)
    """
    values, own_order = _read(Path(file), check_order(order))
    expected = dict(zip("cxyz", (num_classes, *shape), strict=True))
    if values.ndim != 4:
        raise ValueError(f"{file} has {values.ndim} axes; probabilities need 4: the class and three of the image")
    if values.shape != tuple(expected[axis] for axis in own_order):
        raise ValueError(_wrong_shape(file, values.shape, own_order, expected))
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"{file} holds {values.dtype}, which is no probability: store the softmax, not the labels")
    half = values.dtype == np.float16
    values = values.transpose([own_order.index(axis) for axis in "cxyz"]).astype(np.float32, copy=False)
    _check_values(file, values, HALF_TOLERANCE if half else TOLERANCE)
    if half:
        logger.warning("%s is float16: doubt below 0.0005 is rough; store float32 where you can", file)
        values = _with_exact_largest(values)
    return values


def check_order(order: str | None) -> str | None:
    """Refuses an order that is no permutation of ``cxyz``.

    Example:
        >>> check_order("zyxc")
        'zyxc'
    """
    if order is not None and sorted(str(order)) != sorted("cxyz"):
        raise ValueError(f"order must name each axis once, c (class), x, y and z, as in czyx, got {order!r}")
    return order


def swapped_order(probabilities: np.ndarray, label: np.ndarray) -> str | None:
    """The order of the image's axes in which the probabilities agree with the label, where it is not ``xyz``.

    Equal sizes hide swapped axes. The foreground of both must overlap: with the axes as they are, or clearly better
    (Dice twice as high, and above 0.3) in another order.

    Args:
        probabilities: ``(C, x, y, z)``.
        label: ``(x, y, z)``.

    Example:
        >>> label = np.zeros((6, 6, 6), int)
        >>> label[:1, :4, :5] = 1
        >>> stored = np.stack([label == 0, label == 1]).astype(float)
        >>> swapped_order(stored, label) is None, swapped_order(stored.transpose(0, 3, 2, 1), label)
        (True, 'zyx')
    """
    found, true = probabilities.argmax(0) > 0, label > 0

    def overlap(axes: Sequence[int]) -> float:
        turned = found.transpose(axes)
        return float(2 * (turned & true).sum() / max(turned.sum() + true.sum(), 1))

    fitting = [axes for axes in itertools.permutations(range(3)) if found.transpose(axes).shape == true.shape]
    best = max(fitting, key=overlap)
    better = best != (0, 1, 2) and overlap(best) > max(0.3, 2 * overlap((0, 1, 2)))
    return "".join("xyz"[axis] for axis in best) if better else None


def _read(file: Path, order: str | None) -> tuple[np.ndarray, str]:
    """The file's array and the order of its axes."""
    try:
        if file.name.lower().endswith((".nii", ".nii.gz")):
            image: Any = nibabel.load(file)
            return np.asanyarray(image.dataobj), order or NIFTI_ORDER
        stored = np.load(file, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            values = stored
        else:
            with stored:
                names = stored.files
                name = NNUNET_KEY if NNUNET_KEY in names else names[0] if len(names) == 1 else None
                if name is None:
                    raise ValueError(f"its entries are {', '.join(names)}, none is called {NNUNET_KEY}")
                values = stored[name]
                order = order or (NNUNET_ORDER if name == NNUNET_KEY else None)
    except UNREADABLE as error:
        reason = first_line(error)
        remedy = "only plain arrays are read" if "pickle" in reason.lower() else "it is cut short or of another kind"
        raise ValueError(f"{file} cannot be read ({reason}); {remedy}: write it again") from None
    if order is None:
        raise ValueError(f"{file} does not say the order of its axes: state it, for instance --order cxyz")
    return values, order


def _wrong_shape(file: str | os.PathLike, found: tuple[int, ...], order: str, expected: dict[str, int]) -> str:
    """What is wrong with a shape: swapped axes, another number of classes, or another grid."""
    wanted = tuple(expected[axis] for axis in order)
    fitting = [
        "".join(other) for other in itertools.permutations("cxyz") if tuple(expected[axis] for axis in other) == found
    ]
    start = f"{file} has shape {found}, expected {wanted} in the order {order}"
    if fitting:
        axes = " and ".join(sorted(a for a, b in zip(order, fitting[0], strict=True) if a != b))
        return f"{start}: the axes {axes} look swapped; store it in that order, or give --order {fitting[0]}"
    classes = found[order.index("c")]
    if [*found[: order.index("c")], *found[order.index("c") + 1 :]] == [expected[a] for a in order if a != "c"]:
        return f"{start}: it has {classes} classes and the labels {expected['c']} (background included); name the same"
    return f"{start}: it lies on another grid than its image; bring it to the image's own grid"


def _check_values(file: str | os.PathLike, values: np.ndarray, tolerance: float) -> None:
    total = np.zeros(values.shape[1:], np.float32)
    for plane in values:  # one class at a time: a large case does not fit twice into memory
        low, high = float(plane.min()), float(plane.max())
        if not np.isfinite([low, high]).all():
            raise ValueError(f"{file} holds NaN or infinity; write the probabilities again")
        if low < -tolerance or high > 1 + tolerance:
            raise ValueError(
                f"{file} holds values from {low:.3g} to {high:.3g}: these look like logits; store their softmax"
            )
        total += plane
    low, high = float(total.min()), float(total.max())
    if low < 1 - tolerance or high > 1 + tolerance:
        raise ValueError(f"{file}: the classes sum to {low:.3g} to {high:.3g}, not to 1: {NO_OVERLAP}")


def _with_exact_largest(values: np.ndarray) -> np.ndarray:
    called = values.argmax(0)[None]
    rest = np.take_along_axis(values, called, 0)
    np.put_along_axis(values, called, 1 - (values.sum(0, keepdims=True) - rest), 0)
    return values
