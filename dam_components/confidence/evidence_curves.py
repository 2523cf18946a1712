"""Curves of a confidence study: risk over coverage, ROC, reliability, and predicted over true Dice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dam_components.confidence.case_evidence import CaseEvidence
from dam_components.figures.pictures import COLOURS

__all__ = ["draw_curves", "risk_coverage_curve", "roc_curve"]

SCORE_COLOURS = (*COLOURS, "black")  # one for each score
MARKERS = "osD^vP*X"


def risk_coverage_curve(right: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and risk, voxels taken in order of growing doubt, at each bin that holds any.

    Example:
        >>> risk_coverage_curve(np.array([3, 0, 0]), np.array([0, 0, 1]))
        (array([0.75, 1.  ]), array([0.  , 0.25]))
    """
    used = right + wrong > 0
    taken, errors = np.cumsum((right + wrong)[used]), np.cumsum(wrong[used])
    return taken / max(taken[-1:].sum(), 1), errors / taken


def roc_curve(right: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of right and of wrong voxels with more doubt than each edge between bins, from (0, 0) to (1, 1).

    Example:
        >>> roc_curve(np.array([3, 1]), np.array([0, 1]))
        (array([0.  , 0.25, 1.  ]), array([0., 1., 1.]))
    """
    shares = (np.concatenate([[0], np.cumsum(counts[::-1])]) / max(counts.sum(), 1) for counts in (right, wrong))
    false_alarms, found = shares
    return false_alarms, found


def draw_curves(cases: Sequence[CaseEvidence], rows: pd.DataFrame, region: str = "band") -> Figure:
    """Four panels: risk over coverage, ROC and reliability of each score pooled over cases, and mean Dice of each case.

    Args:
        cases: the clean ones, all with the same scores.
        rows: of :func:`~dam_components.confidence.evidence_table.case_rows`, clean and hard.
        region: ``band`` or ``volume``.
    """
    figure = Figure(figsize=(11, 9), layout="constrained")
    (risk, roc), (reliability, dice) = figure.subplots(2, 2)
    for i, name in enumerate(score for where, score in cases[0].histograms if where == region):
        style = {
            "color": SCORE_COLOURS[i % len(SCORE_COLOURS)],
            "linestyle": ("-", "--")[i % 2],
            "linewidth": 1.2 if i else 2.2,
        }
        right, wrong = np.sum([case.histograms[region, name] for case in cases], axis=0)
        risk.plot(*risk_coverage_curve(right, wrong), label=name, **style)
        roc.plot(*roc_curve(right, wrong), label=name, **style)
        if (region, name) in cases[0].calibration:
            voxels, confidence, hits = np.sum([case.calibration[region, name] for case in cases], axis=0)
            used = voxels > 0
            reliability.plot(
                confidence[used] / voxels[used], hits[used] / voxels[used], marker=".", label=name, **style
            )
    reliability.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    dice.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    means = rows[rows["class"] == "mean"]
    for i, (kind, part) in enumerate(means.groupby("kind", sort=False)):
        dice.scatter(
            part["true_dice"],
            part["predicted_dice_D"],
            s=18,
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            label=str(kind),
            alpha=0.8,
        )
    for panel, title, x, y in (
        (risk, f"risk over coverage, {region}", "share of voxels kept", "share of them wrong"),
        (roc, f"finding wrong voxels, {region}", "right voxels flagged", "wrong voxels flagged"),
        (reliability, f"reliability, {region}", "confidence", "share right"),
        (dice, "mean Dice of a case, predicted by D", "true", "predicted"),
    ):
        panel.set(title=title, xlabel=x, ylabel=y)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    return figure
