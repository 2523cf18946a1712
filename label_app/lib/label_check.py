"""Whether a label that a client sends fits its image: one bad label would make every later training fail."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import LoadImage

from lib.request_rules import IMAGE_SUFFIXES, Refused

__all__ = ["check_label"]

TOLERANCE_MM = 0.01


def check_label(app: Any, image: str, upload: Any) -> None:
    """Refuses a label on another grid than its image, or with values that the model does not know.

    Args:
        app: MONAI Label's application; its first model says which values there are.
        image: the image's id in the studies.
        upload: the file that was sent.

    Raises:
        Refused: with one line that says what is wrong.
    """
    suffix = next(end for end in sorted(IMAGE_SUFFIXES, key=len, reverse=True) if upload.filename.lower().endswith(end))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"label{suffix}"
        with file.open("wb") as target:
            shutil.copyfileobj(upload.file, target)
        upload.file.seek(0)
        read = LoadImage(image_only=True)
        try:
            label = read(file)
        except Exception as error:
            raise Refused(422, f"the label cannot be read: {type(error).__name__}") from None
        reference = read(app.datastore().get_image_uri(image))
    voxels = [tuple(volume.shape)[:3] for volume in (label, reference)]  # behind them come channels
    if voxels[0] != voxels[1] or label.numel() != math.prod(voxels[0]):
        raise Refused(422, f"the label has shape {tuple(label.shape)}, its image {tuple(reference.shape)}")
    if not np.allclose(np.asarray(label.affine), np.asarray(reference.affine), atol=TOLERANCE_MM):
        raise Refused(422, "the label lies elsewhere than its image: their headers differ in spacing or orientation")
    known = known_values(app)
    found = np.unique(np.asarray(label))
    wrong = [value for value in found.tolist() if value not in known]
    if wrong:
        raise Refused(422, f"the label holds {wrong[0]:g}; the model knows {', '.join(map(str, sorted(known)))}")


def known_values(app: Any) -> set[int]:
    """The values of the first model's labels, background included."""
    model = next(iter(app.info()["models"].values()))
    labels = model["labels"]
    values = labels.values() if isinstance(labels, dict) else range(1, len(labels) + 1)
    return {0, *(int(value) for value in values)}
