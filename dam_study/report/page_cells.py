"""The cells of one data set, and the values that all parts of its page are made from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from dam_study.experiments.case_values import case_values
from dam_study.experiments.cell_settings import check_same_settings
from dam_study.experiments.finished_cell import FinishedCell, read_metrics
from dam_study.report.system_tables import summary_table

__all__ = ["PageCells", "order_systems"]

# The and the paper's order; others follow by name.
ORDER: tuple[str, ...] = (
    *("malf", "ssae", "unet", "vnet", "dsresunet", "enunet_ce", "enunet_focal", "enunet_hybrid", "adversarial"),
    *("organ", "voxel", "proposed", "proposed_correctness", "voxel_correctness", "voxel_correctness_flips", "full"),
    *("lean", "paper", "all_terms", "default"),
)


@dataclass(frozen=True)
class PageCells:
    """What a page is about.

    Attributes:
        data: name of the data set.
        reference: the system that the others are compared with.
        all: the cells, also those that are not finished.
        done: the finished ones, system by system.
        systems: of the finished cells, in the order of all tables and figures.
        metrics: of each finished cell, a row a case, label and region.
        labels: organs, in the order of the files.
        values: of :func:`~dam_study.experiments.case_values.case_values`.
        summary: of :func:`~dam_study.report.system_tables.summary_table`.
        resamples: of each bootstrap over cases.
    """

    data: str
    reference: str
    all: Sequence[FinishedCell]
    done: Sequence[FinishedCell]
    systems: Sequence[str]
    metrics: Sequence[pd.DataFrame]
    labels: Sequence[str]
    values: pd.DataFrame
    summary: pd.DataFrame
    resamples: int

    @classmethod
    def of(
        cls, cells: Sequence[FinishedCell], reference: str, order: Sequence[str] = (), resamples: int = 2000
    ) -> PageCells:
        """Reads the metrics of all finished cells.

        Args:
            cells: of one data set, at least one of them finished.
            reference: the system that the others are compared with.
            order: of the systems, the rest follow.
            resamples: of each bootstrap over cases.

        Raises:
            ValueError: if cells must not be mixed, or a file is damaged.
        """
        done = [cell for cell in cells if cell.done is not None]
        systems = order_systems({cell.system for cell in done}, order)
        done.sort(key=lambda cell: (systems.index(cell.system), cell.key))
        check_same_settings(done)
        metrics = [read_metrics(cell) for cell in done]
        values = case_values(list(zip(done, metrics, strict=True)))
        return cls(
            data=cells[0].data,
            reference=reference,
            all=cells,
            done=done,
            systems=systems,
            metrics=metrics,
            labels=list(dict.fromkeys(metrics[0]["label"])),
            values=values,
            summary=summary_table(values, systems, resamples),
            resamples=resamples,
        )

    @property
    def compared(self) -> bool:
        """Whether there is another system than the reference, and the reference."""
        return self.reference in self.systems and len(self.systems) > 1

    @property
    def divided_labels(self) -> list[str]:
        """The organs that are measured by thirds too."""
        regions = self.metrics[0].groupby("label")["region"].agg(set)
        return [label for label in self.labels if {"base", "middle", "apex"} <= regions[label]]

    def of_system(self, system: str) -> list[FinishedCell]:
        """The finished cells of a system."""
        return [cell for cell in self.done if cell.system == system]

    def shared_with_reference(self, system: str) -> list[FinishedCell]:
        """The finished cells of a system and of the reference whose fold and seed both have."""
        places = [{(cell.fold, cell.seed) for cell in self.of_system(name)} for name in (system, self.reference)]
        both = places[0] & places[1]
        return [c for c in self.done if c.system in (system, self.reference) and (c.fold, c.seed) in both]

    def values_of(self, cells: Collection[FinishedCell]) -> pd.DataFrame:
        """The values of some of the finished cells alone."""
        chosen = {cell.key for cell in cells}
        return case_values([(c, rows) for c, rows in zip(self.done, self.metrics, strict=True) if c.key in chosen])

    def values_by_seed(self, cells: Collection[FinishedCell]) -> dict[int, pd.DataFrame]:
        """The values of some of the finished cells, of each seed alone."""
        seeds = sorted({cell.seed for cell in cells})
        return {seed: self.values_of([cell for cell in cells if cell.seed == seed]) for seed in seeds}


def order_systems(systems: set[str], order: Sequence[str] = ()) -> list[str]:
    """Systems as asked for, then the known ones, then by name.

    Example:
        >>> order_systems({"default", "unet", "paper", "a"}, ["paper"])
        ['paper', 'unet', 'default', 'a']
    """
    known = dict.fromkeys([*order, *ORDER, *sorted(systems)])
    return [name for name in known if name in systems]
