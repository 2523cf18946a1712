"""Slices of a few test cases, kept for the figures of a report."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from dam_components.data.dataset_layouts import name_from_meta
from dam_components.data.image_files import volume_loader
from dam_components.metrics import apex_is_first, axial_axis, axial_thirds
from dam_study.handlers.difficulty_frames import write_arrays

__all__ = ["KeptSlices", "telling_slices"]


def telling_slices(label: np.ndarray, regions: bool, apex_first: bool = True) -> dict[str, int]:
    """Slices of the last axis that show a label: ``largest``, where it covers most; with regions instead ``base``,
    ``middle`` and ``apex``, the middle slice of each third's part of it (without a part: the slice with most in all).

    Example:
        >>> label = np.zeros((4, 4, 12))
        >>> label[1, 1, 3:9], label[2, 2, 4] = 1, 1
        >>> telling_slices(label, regions=False), telling_slices(label, regions=True)
        ({'largest': 4}, {'base': 8, 'middle': 6, 'apex': 4})
    """
    area = (label > 0).sum((0, 1))
    largest = int(area.argmax())
    if not regions:
        return {"largest": largest}
    occupied = np.flatnonzero(area)
    parts = axial_thirds(label, apex_first=apex_first)
    chosen = {}
    for name in ("base", "middle", "apex"):
        own = occupied[np.isin(occupied, np.arange(len(area))[parts[name]])]
        chosen[name] = int(own[len(own) // 2]) if len(own) else largest
    return chosen


class KeptSlices:
    """Handler for an evaluator: an ``.npz`` with slices of its first cases, in the image file's own grid.

    Arrays: ``<case>/<slice>/image``, ``label``, ``prediction`` and ``confidence``, the slices as
    :func:`telling_slices` names them. The predictions must be inverted to the image's own grid; image and label are
    read again from their files.

    Args:
        file: the ``.npz``, written when the evaluator completes.
        regions: slices of base, middle and apex; else the one where the label is largest.
        cases: how many, in the order of the evaluation.
    """

    def __init__(self, file: str | os.PathLike, regions: bool = False, cases: int = 3) -> None:
        self.file = file
        self.regions = regions
        self.cases = cases
        self.read = volume_loader(ensure_channel_first=True)
        self.seen = 0
        self.arrays: dict[str, np.ndarray] = {}

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the evaluator."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.keep)
        engine.add_event_handler(Events.COMPLETED, lambda: write_arrays(self.file, self.arrays))

    def started(self) -> None:
        """Forgets the slices of an earlier evaluation."""
        self.seen, self.arrays = 0, {}

    def keep(self, engine: Engine) -> None:
        """Takes the slices of the cases of this iteration, while there are too few."""
        state: Any = engine.state
        for item, batch in zip(state.output, state.batch, strict=True):
            if self.seen == self.cases:
                return
            self.seen += 1
            file = batch["label"].meta["filename_or_obj"]
            label = self.read(file)
            volumes: dict[str, np.ndarray] = {
                "image": np.asarray(self.read(batch["image"].meta["filename_or_obj"])[0], np.float32),
                "label": np.asarray(label[0]).astype(np.uint8),
                "prediction": np.asarray(item["pred"][0].cpu()).astype(np.uint8),
                "confidence": np.asarray(item["confidence"][0].cpu(), np.float16),
            }
            name = name_from_meta(batch["label"].meta)
            first = True
            if self.regions:  # of the axial axis, wherever the file has it
                affine = np.asarray(label.affine)
                axial = axial_axis(affine)
                first = apex_is_first(affine, axial)
                volumes = {key: np.moveaxis(volume, axial, -1) for key, volume in volumes.items()}
            for place, z in telling_slices(volumes["label"], self.regions, first).items():
                self.arrays |= {f"{name}/{place}/{key}": volume[..., z] for key, volume in volumes.items()}
