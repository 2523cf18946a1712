"""What the review flag finds."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["flag_table"]


def flag_table(rows: pd.DataFrame, below: float = 0.8) -> pd.DataFrame:
    """How well a predicted Dice flags the cases of which a class is bad, by group of cases and score.

    A case is bad if the true Dice of one of its classes is below the limit, and flagged if a predicted one is.
    ``found`` is the share of bad cases that are flagged, ``right`` the share of flagged cases that are bad.

    Args:
        rows: of :func:`~dam_components.confidence.evidence_table.case_rows`.
        below: the limit.
    """
    scores = [column for column in rows.columns if column.startswith("predicted_dice_")]
    worst = rows[rows["class"] != "mean"].groupby(["case", "kind"], sort=False)[["true_dice", *scores]].min() < below
    clean = worst.index.get_level_values("kind") == "clean"
    groups = {"clean": worst[clean], **({"clean and hard": worst} if not clean.all() else {})}
    found = []
    for group, cases in groups.items():
        bad = cases["true_dice"]
        for column in scores:
            both = (cases[column] & bad).sum()
            found.append(
                {
                    "cases": group,
                    "score": column.removeprefix("predicted_dice_"),
                    "n": len(cases),
                    "bad": int(bad.sum()),
                    "flagged": int(cases[column].sum()),
                    "found": both / bad.sum() if bad.any() else np.nan,
                    "right": both / cases[column].sum() if cases[column].any() else np.nan,
                }
            )
    return pd.DataFrame(found)
