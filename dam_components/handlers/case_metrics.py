"""Metrics of every case of an evaluation, in the label's own space, as a CSV and a table."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import pandas as pd
from ignite.engine import Engine, Events

from dam_components.data.dataset_layouts import name_from_meta
from dam_components.data.image_files import volume_loader
from dam_components.distributed import gather_from_ranks
from dam_components.metrics import apex_is_first, axial_axis, case_metrics, write_cases_csv

__all__ = ["CaseMetrics", "summarise"]


class CaseMetrics:
    """Handler for an evaluator: compares each segmentation with its label *file* and writes one row a case and class.

    The prediction must be inverted to the image's own grid and hold class indices; the label is read again from its
    file, so that no resampling of the reference flatters the result. Millimetres follow the file's affine. The CSV is
    written when the evaluator completes; the means over cases go to ``state.metrics`` and the log.

    Under ``torch.distributed`` the cases of all ranks come together, each once even if a sampler repeats some to give
    every rank as many. Every rank gets the means; rank 0 writes and logs.

    Args:
        csv: the file.
        label_names: name of each class by its index.
        regions: also apex, middle and base, see :func:`dam_components.metrics.axial_thirds`.
        label_key: the label in ``state.batch``, whose metadata names the file.
        pred_key: the segmentation in ``state.output``.
    """

    def __init__(
        self,
        csv: str | os.PathLike,
        label_names: Mapping[Any, str],
        regions: bool = False,
        label_key: str = "label",
        pred_key: str = "pred",
    ) -> None:
        self.csv = csv
        self.label_names = {int(index): name for index, name in label_names.items()}
        self.regions = regions
        self.label_key = label_key
        self.pred_key = pred_key
        self.read = volume_loader(ensure_channel_first=True)
        self.cases: dict[str, list[dict[str, Any]]] = {}  # rows by label file

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the evaluator."""
        engine.add_event_handler(Events.STARTED, lambda: self.cases.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.compare)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def compare(self, engine: Engine) -> None:
        """Adds the rows of the cases of this iteration."""
        state: Any = engine.state
        for item, batch in zip(state.output, state.batch, strict=True):
            meta = batch[self.label_key].meta
            file = meta["filename_or_obj"]
            label = self.read(file)
            prediction = item[self.pred_key][0]
            if prediction.shape != label.shape[1:]:
                raise ValueError(
                    f"the segmentation has shape {tuple(prediction.shape)}, its label {file} {tuple(label.shape[1:])}; "
                    "invert the prediction before comparing"
                )
            affine = np.asarray(label.affine)
            cut: dict[str, Any] = {}
            if self.regions:
                axial = axial_axis(affine)
                cut = {"regions": True, "axial_axis": axial, "apex_first": apex_is_first(affine, axial)}
            rows = case_metrics(
                np.asarray(prediction.cpu()).astype(np.int64),
                np.asarray(label[0]).astype(np.int64),
                spacing_mm=[float(step) for step in label.pixdim],
                classes=self.label_names,
                **cut,
            )
            self.cases[str(file)] = [{"case": name_from_meta(meta), **row} for row in rows]

    def write(self, engine: Engine) -> None:
        """Writes the CSV, publishes and logs the means."""
        cases = interleave(gather_from_ranks(self.cases))
        rows = list(chain.from_iterable(cases.values()))
        writes = getattr(engine.state, "rank", 0) == 0
        if writes:
            write_cases_csv(self.csv, rows)
        table = summarise(pd.DataFrame(rows))
        for row in table.reset_index().to_dict("records"):
            where = row["label"] if row["region"] == "whole" else f"{row['label']} {row['region']}"
            engine.state.metrics[f"dice {where}"] = float(row["dice"])
        whole = table.xs("whole", level="region")
        engine.state.metrics["mean_dice"] = float(whole["dice"].mean())
        if not writes:
            return
        logging.getLogger(__name__).info(
            "mean over %d cases; each case in %s\n%s\nmean Dice of the classes: %.4f%s",
            len(cases),
            self.csv,
            whole.round(4).reset_index().to_string(index=False),
            whole["dice"].mean(),
            undefined_distances(rows),
        )


def undefined_distances(rows: list[dict[str, Any]]) -> str:
    """A line that counts the distances which the means leave out; empty if there are none.

    Example:
        >>> undefined_distances([{"case": "a", "label": "x", "hd95_mm": float("nan")}, {"hd95_mm": 1.0}])
        '\\n1 of 2 distances are undefined (an empty mask) and left out of the means: a x'
    """
    lacking = [row for row in rows if not np.isfinite(row["hd95_mm"])]
    if not lacking:
        return ""
    names = ", ".join(f"{row['case']} {row['label']}" for row in lacking[:3]) + (" ..." if len(lacking) > 3 else "")
    return f"\n{len(lacking)} of {len(rows)} distances are undefined (an empty mask) and left out of the means: {names}"


def interleave(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The entries of all ranks in the order in which a sampler deals them out, each once.

    Example:
        >>> list(interleave([{"a": 1, "c": 3}, {"b": 2, "a": 1}]))
        ['a', 'b', 'c']
    """
    items = chain.from_iterable(zip_longest(*(part.items() for part in parts)))
    return dict(item for item in items if item is not None)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over the cases by class and region, in the order of the rows; nan (distance to an empty mask) left out."""
    return rows.drop(columns="case").groupby(["label", "region"], sort=False).mean(numeric_only=True)
