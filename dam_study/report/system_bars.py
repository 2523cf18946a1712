"""Figure 3: DSC of each system by organ and by region, with intervals over cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dam_components.figures.pictures import COLOURS

__all__ = ["bar_groups", "draw_bars"]

REGIONS = ("whole", "base", "middle", "apex")
HATCHES = ("", "///", "...")


def bar_groups(summary: pd.DataFrame, labels: Sequence[str]) -> dict[str, list[tuple[str, str, str]]]:
    """What each panel shows, groups of bars as (name, label, region): the organs, then the regions of each organ.

    Example:
        >>> rows = pd.DataFrame({"label": ["prostate"] * 2, "region": ["whole", "apex"], "metric": ["dice"] * 2})
        >>> bar_groups(rows, ["prostate"])
        {'prostate': [('whole', 'prostate', 'whole'), ('apex', 'prostate', 'apex')]}
    """
    of = summary[summary["metric"] == "dice"]
    panels = {
        label: [(r, label, r) for r in REGIONS if (of["label"].eq(label) & of["region"].eq(r)).any()]
        for label in labels
    }
    panels = {label: groups for label, groups in panels.items() if len(groups) > 1}
    if len(labels) > 1 or not panels:
        panels = {"organs": [(label, label, "whole") for label in labels], **panels}
    return panels


def draw_bars(summary: pd.DataFrame, systems: Sequence[str], labels: Sequence[str]) -> Figure:
    """A panel for the organs and one for the regions of each organ; whiskers are the 95 % intervals.

    Args:
        summary: of :func:`~dam_study.report.system_tables.summary_table`.
        systems: in the order of the bars.
        labels: organs, in the order of the groups.
    """
    panels = bar_groups(summary, labels)
    rows = summary[summary["metric"] == "dice"].set_index(["system", "label", "region"])
    floor = max(0.0, np.floor(10 * float(rows["low"].min()) - 0.5) / 10) if len(rows) else 0.0
    figure = Figure(
        figsize=(max(6.0, 1.2 + 0.2 * len(systems) * max(map(len, panels.values()))), 3.0 * len(panels) + 0.7),
        layout="constrained",
    )
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    width = 0.85 / len(systems)
    for panel, (title, groups) in zip(axes, panels.items(), strict=True):
        for i, system in enumerate(systems):
            x = [j + (i - (len(systems) - 1) / 2) * width for j in range(len(groups))]
            found = rows.loc[[(system, label, region) for _, label, region in groups]]
            whiskers = np.stack([found["mean"] - found["low"], found["high"] - found["mean"]])
            panel.bar(
                x,
                100 * found["mean"],
                width,
                yerr=100 * whiskers,
                color=COLOURS[i % len(COLOURS)],
                hatch=HATCHES[i // len(COLOURS) % len(HATCHES)],
                edgecolor="black",
                linewidth=0.3,
                error_kw={"linewidth": 0.8},
                label=system if title == next(iter(panels)) else None,
            )
        panel.set(title=title, ylabel="DSC (%)", ylim=(100 * floor, 100))
        panel.set_xticks(range(len(groups)), [name for name, *_ in groups])
        panel.grid(axis="y", alpha=0.3)
    foot = f"bars start at {100 * floor:.0f} %" if floor else ""
    figure.legend(loc="outside lower center", fontsize=8, frameon=False, ncols=4, title=foot, title_fontsize=8)
    return figure
