"""The picture for a person who reviews a case: where is the least trustworthy part, and what was drawn there?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from dam_components.figures.pictures import draw_case, most_telling_slices
from dam_components.metrics import structure_zone

__all__ = ["draw_review"]

PLANES = ("sagittal", "coronal", "axial")
SIDES = (("P", "A"), ("R", "L"), ("R", "L"))  # at the left and the right edge of each
THICK = 1.5  # from this ratio to the middle one of the three steps on, slices are cut as they were acquired


def draw_review(
    image: np.ndarray,
    prediction: np.ndarray,
    confidence: np.ndarray,
    affine: np.ndarray,
    names: Mapping[int, str],
    title: str = "",
    count: int = 3,
    band_mm: float = 3.0,
    margin_mm: float = 15.0,
    label: np.ndarray | None = None,
) -> Figure:
    """The slices with the largest sum of doubt 1 - M in the zone of the structures, cropped to their surroundings.

    Seen as radiologists do (the patient's right at the left edge, marked R and L, head or front up), in the plane of
    acquisition where slices are thick, else axial. The numbers of the slices count from 0 along the file's own axis.
    The chosen slices lie apart, because neighbours of the worst one show the same error again. Without any structure
    all doubt counts, and nothing is cropped. A bar gives the scale.

    Args:
        image: ``(X, Y, Z)`` or ``(X, Y)``, in the file's own axes.
        prediction: class indices, the same shape.
        confidence: M in 0..1, the same shape.
        affine: the file's, 4 x 4, in millimetres; of an image of 2 axes only the spacing counts.
        names: of the classes, for the legend.
        title: above the picture.
        count: slices at most.
        band_mm: how far round a structure doubt counts.
        margin_mm: how much around the structures is shown.
        label: class indices, the same shape; its contours are dashed.
    """
    spacing, sides = voxel_sizes(affine)[: image.ndim], None
    volumes, slice_axis, flipped, plane = [image, prediction, confidence], 2, False, ""
    volumes += [] if label is None else [label]
    if image.ndim == 3:
        turn = ornt_transform(io_orientation(affine), axcodes2ornt("LAS"))
        volumes = [apply_orientation(v, turn) for v in volumes]
        order = np.argsort(turn[:, 0])  # the file's axis behind each turned one
        spacing = spacing[order]
        slice_axis = int(spacing.argmax()) if spacing.max() > THICK * np.median(spacing) else 2
        flipped, plane = turn[order[slice_axis], 1] < 0, PLANES[slice_axis] + " "
        sides = SIDES[slice_axis]
        spacing = np.append(np.delete(spacing, slice_axis), spacing[slice_axis])
        volumes = [np.moveaxis(v, slice_axis, -1) for v in volumes]
    else:
        volumes, spacing = [v[..., None] for v in volumes], np.append(spacing, 1.0)
    image, prediction, confidence, *labels = volumes

    structures = np.logical_or.reduce([prediction > 0, *(volume > 0 for volume in labels)])
    zone = structure_zone(torch.from_numpy(np.ascontiguousarray(structures)), spacing.tolist(), band_mm).numpy()
    crop = _crop(zone, spacing, margin_mm) if zone.any() else (slice(None), slice(None))
    score = 1 - confidence
    if zone.any():
        score *= zone
    depth = int(np.ptp(np.flatnonzero(score.any((0, 1))))) + 1 if score.any() else image.shape[-1]
    slices = most_telling_slices(score, min(count, image.shape[-1]), apart=max(1, depth // (2 * count)))
    size = image.shape[-1]
    return draw_case(
        image[crop],
        prediction[crop],
        confidence[crop],
        labels[0][crop] if labels else None,
        slices=slices,
        aspect=spacing[1] / spacing[0],
        title=title,
        names=names,
        slice_names=[f"{plane}slice {size - 1 - z if flipped else z}" for z in slices],
        sides=sides,
        pixel_mm=float(spacing[0]),
    )


def _crop(zone: np.ndarray, spacing: np.ndarray, margin_mm: float) -> tuple[slice, ...]:
    """In-plane box of the zone with a margin."""
    box = []
    for axis in (0, 1):
        where = np.flatnonzero(zone.any((1 - axis, 2)))
        margin = int(np.ceil(margin_mm / spacing[axis]))
        box.append(slice(max(0, int(where[0]) - margin), int(where[-1]) + 1 + margin))
    return tuple(box)
