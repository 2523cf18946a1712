"""Figure 4: the difficulty mask 1 - M against the focal mask 1 - P̂ as training goes on."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dam_study.report.contour_grid import outline

__all__ = ["draw_difficulty_grid"]

KINDS = {"difficulty": "difficulty 1 - M", "focal": "focal 1 - P̂"}


def draw_difficulty_grid(arrays: Mapping[str, np.ndarray], title: str = "") -> Figure | None:
    """One column an epoch, one row a mask, and the image with the truth's contours in front; both masks from 0 to 1.

    Args:
        arrays: ``image`` and ``label``, and ``epoch<k>/difficulty`` and ``epoch<k>/focal``, ``(X, Y)``.
        title: above the picture.

    Returns:
        The figure, or ``None`` if there is no epoch with both masks.
    """
    epochs = sorted(int(m[1]) for name in arrays if (m := re.fullmatch(r"epoch(\d+)/difficulty", name)))
    epochs = [k for k in epochs if f"epoch{k}/focal" in arrays]
    if not epochs or not {"image", "label"} <= set(arrays):
        return None
    figure = Figure(figsize=(1.6 * (len(epochs) + 1) + 0.8, 3.9), layout="constrained")
    axes = figure.subplots(2, len(epochs) + 1, squeeze=False)
    for panel in axes.flat:
        panel.set(xticks=[], yticks=[])
    image = arrays["image"]
    low, high = np.percentile(image, (1, 99.5))
    axes[0, 0].imshow(image.T, cmap="gray", vmin=low, vmax=high, origin="lower")
    outline(axes[0, 0], arrays["label"], linewidths=1.0)
    axes[0, 0].set_title("image, truth", fontsize=8)
    axes[1, 0].set_axis_off()
    for j, epoch in enumerate(epochs, 1):
        for i, (kind, name) in enumerate(KINDS.items()):
            mask = arrays[f"epoch{epoch}/{kind}"]
            shown = axes[i, j].imshow(mask.T, cmap="magma", vmin=0, vmax=1, origin="lower")
            axes[i, j].set_title(f"epoch {epoch}" if i == 0 else "", fontsize=8)
            if j == 1:
                axes[i, j].set_ylabel(name, fontsize=8)
    figure.colorbar(shown, ax=axes[:, -1], shrink=0.7)
    if title:
        figure.suptitle(title, fontsize=9)
    return figure
