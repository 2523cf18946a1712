"""What a dataset is like, in numbers: all that a plan is made from.

MONAI's ``monai.apps.auto3dseg.DataAnalyzer`` is of this kind and was looked at first. It does not serve here: it
resizes labels that do not fit their image by up to five voxels, leaves unreadable cases out with a line in the log,
keeps percentiles of each case but none of the foreground of all cases (which CT is normalised by), and says nothing of
duplicates and affines. The checks read every voxel anyway, and these numbers cost little on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dam_components.planning.case_survey import CaseSurvey

__all__ = ["Fingerprint", "Intensity", "make_fingerprint"]

PERCENTILES = (0.5, 50.0, 99.5)


@dataclass(frozen=True)
class Intensity:
    """Voxels of one channel: percentiles 0.5, 50 and 99.5, mean and standard deviation."""

    low: float
    median: float
    high: float
    mean: float
    sd: float

    @classmethod
    def of(cls, voxels: np.ndarray) -> Intensity:
        """
        Example:
            >>> Intensity.of(np.array([0.0, 1.0, 2.0]))
            Intensity(low=0.01, median=1.0, high=1.99, mean=1.0, sd=0.816497)
        """
        values = [*np.percentile(voxels, PERCENTILES), voxels.mean(dtype=np.float64), voxels.std(dtype=np.float64)]
        return cls(*(round(float(value), 6) for value in values))


@dataclass(frozen=True)
class Fingerprint:
    """A dataset in numbers. Axes: right, front, head.

    Args:
        cases: how many.
        channel_names: of the image.
        label_names: by index as text, from 1: the form of the bundle's JSON.
        ct: whether all channels are CT, from their names.
        spacing_mm: of each case.
        shape: voxels of each case.
        box: voxels of each case's box of what is not zero.
        label_share: share of all voxels, by label's index; background is 0.
        label_cases: how many cases hold the label.
        largest_piece: the least share of a structure that lies in one connected piece, over the cases that hold it.
        anisotropy: coarsest over finest median spacing.
        inside: intensities of each channel in the structures, over all cases.
        outside: likewise in the background.
    """

    cases: int
    channel_names: list[str]
    label_names: dict[str, str]
    ct: bool
    spacing_mm: list[list[float]]
    shape: list[list[int]]
    box: list[list[int]]
    label_share: dict[str, float]
    label_cases: dict[str, int]
    largest_piece: dict[str, float]
    anisotropy: float
    inside: list[Intensity]
    outside: list[Intensity]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def make_fingerprint(
    surveys: Sequence[CaseSurvey], channel_names: Sequence[str], label_names: dict[int, str]
) -> Fingerprint:
    """The fingerprint of cases that passed the checks.

    Args:
        surveys: of all cases.
        channel_names: as many as each case has channels. ``CT``, alone or as a word of a name, means computed
            tomography.
        label_names: by index, from 1.

    Raises:
        ValueError: no case holds a structure.
    """
    inside = np.concatenate([survey.inside for survey in surveys], axis=1)
    outside = np.concatenate([survey.outside for survey in surveys], axis=1)
    if not inside.size:
        raise ValueError("no label holds anything but background: there is nothing to learn; check the label files")
    spacing = np.array([survey.spacing_mm for survey in surveys])
    medians = np.median(spacing, axis=0)
    values = (0, *label_names)
    return Fingerprint(
        cases=len(surveys),
        channel_names=[*channel_names],
        label_names={str(value): name for value, name in label_names.items()},
        ct=all(map(_is_ct, channel_names)),
        spacing_mm=spacing.tolist(),
        shape=[list(survey.shape) for survey in surveys],
        box=[list(survey.box) for survey in surveys],
        label_share=_shares(surveys, values),
        label_cases={str(value): sum(value in survey.label_voxels for survey in surveys) for value in values},
        largest_piece=_least_pieces(surveys, label_names),
        anisotropy=round(float(medians.max() / medians.min()), 4),
        inside=[Intensity.of(channel) for channel in inside],
        outside=[Intensity.of(channel) for channel in outside if channel.size],
    )


def _is_ct(channel_name: str) -> bool:
    return "ct" in channel_name.lower().replace("_", " ").replace("-", " ").split()


def _shares(surveys: Sequence[CaseSurvey], values: Sequence[int]) -> dict[str, float]:
    """Of all voxels, by the label's index as text."""
    counts = {value: sum(survey.label_voxels.get(value, 0) for survey in surveys) for value in values}
    total = sum(counts.values())
    return {str(value): round(count / total, 8) for value, count in counts.items()}


def _least_pieces(surveys: Sequence[CaseSurvey], values: Iterable[int]) -> dict[str, float]:
    """The least share in one piece, of the structures that some case holds."""
    found = {}
    for value in values:
        shares = [survey.largest_piece[value] for survey in surveys if value in survey.largest_piece]
        if shares:
            found[str(value)] = round(min(shares), 6)
    return found
