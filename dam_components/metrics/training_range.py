"""What images and structures were like in training, so that what is unlike them can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from nibabel.orientations import aff2axcodes
from scipy import ndimage

__all__ = ["ImageNumbers", "StructureNumbers", "TrainingRange", "count_pieces"]

PERCENTILES = (0.5, 5, 25, 50, 75, 95, 99.5)
STATISTICS = (*(f"percentile {share:g}" for share in PERCENTILES), "sharpness")
VOXELS = 2_000_000  # that percentiles are taken of
SLICES = 64  # along each axis that sharpness is taken of
IMAGE_MARGIN = (0.25, 5.0)  # of the range over n training cases, on each side: the first, and the second over n
SIZE_MARGIN = (0.1, 1.0)  # likewise, of the smallest and largest volume
SPACING_MARGIN = 0.25  # of the finest and coarsest voxel

Range = Sequence[float]  # lowest and highest


@dataclass(frozen=True)
class ImageNumbers:
    """What a range is made from, of one image.

    Attributes:
        intensity: :data:`STATISTICS` of each channel after normalisation, ``(C, 8)``.
        spacing_mm: size of a voxel along each axis of the file.
        orientation: where the file's axes point to, ``RAS`` for instance; empty if unknown.
    """

    intensity: tuple[tuple[float, ...], ...]
    spacing_mm: tuple[float, ...]
    orientation: str

    @classmethod
    def of(cls, image: np.ndarray, spacing_mm: Sequence[float], orientation: str = "") -> ImageNumbers:
        """Of a preprocessed image, ``(C, ...)``.

        Example:
            >>> len(ImageNumbers.of(np.zeros((1, 4, 4)), (1.0, 1.0)).intensity[0])
            8
        """
        return cls(tuple(map(_statistics, image)), tuple(map(float, spacing_mm)), orientation)

    @classmethod
    def placed(cls, image: np.ndarray, affine: np.ndarray) -> ImageNumbers:
        """Of a preprocessed image, ``(C, ...)``, and the affine of its file, ``(4, 4)``.

        Example:
            >>> numbers = ImageNumbers.placed(np.zeros((1, 4, 4, 4)), np.diag([-2.0, 1, 1, 1]))
            >>> numbers.spacing_mm, numbers.orientation
            ((2.0, 1.0, 1.0), 'LAS')
        """
        axes = image.ndim - 1
        spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)[:axes].round(6)
        return cls.of(image, spacing_mm.tolist(), "".join(aff2axcodes(affine)) if axes == 3 else "")


@dataclass(frozen=True)
class StructureNumbers:
    """Of one structure: its volume, and how many pieces it lies in."""

    volume_ml: float
    pieces: int


@dataclass(frozen=True)
class TrainingRange:
    """The range of each number over the training cases.

    Attributes:
        cases: how many there were.
        intensity: lowest and highest of each statistic of each channel.
        spacing_mm: finest and coarsest voxel over all axes and cases.
        orientations: that occurred.
        volume_ml: smallest and largest of each structure, by its index as text.
        pieces: the most of each structure.

    Raises:
        ValueError: a range has not two numbers.

    Example:
        >>> image = ImageNumbers.of(np.arange(64.0).reshape(1, 4, 4, 4), (1.0, 1.0, 1.0), "RAS")
        >>> known = TrainingRange.of([image], [{"1": StructureNumbers(2.0, 1)}])
        >>> known.structure_reasons("1", "gland", 25, 3)
        {'volume': 'gland: 25 ml, in training 2 to 2 ml', 'pieces': 'gland lies in 3 pieces, in training in at most 1'}
    """

    cases: int
    intensity: Sequence[Sequence[Range]]
    spacing_mm: Range
    orientations: Sequence[str]
    volume_ml: Mapping[str, Range] = field(default_factory=dict)
    pieces: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for ranges in ([self.spacing_mm], *self.intensity, self.volume_ml.values()):
            for low, high in ranges:
                if not float(low) <= float(high):
                    raise ValueError(f"a range over the training cases is {low}..{high}")
        for count in self.pieces.values():
            if int(count) < 0:
                raise ValueError(f"a structure lies in {count} pieces")

    @classmethod
    def of(cls, images: Sequence[ImageNumbers], structures: Sequence[Mapping[str, StructureNumbers]]) -> TrainingRange:
        """The ranges over cases: of each its image, and the structures that it holds by index."""
        numbers = np.array([image.intensity for image in images])
        spacing = [step for image in images for step in image.spacing_mm]
        found: dict[str, list[StructureNumbers]] = {}
        for case in structures:
            for index, structure in case.items():
                found.setdefault(index, []).append(structure)
        return cls(
            len(images),
            np.stack([numbers.min(0), numbers.max(0)], -1).round(6).tolist(),
            [min(spacing), max(spacing)],
            sorted({image.orientation for image in images} - {""}),
            {k: [min(s.volume_ml for s in v), max(s.volume_ml for s in v)] for k, v in sorted(found.items())},
            {index: max(s.pieces for s in of) for index, of in sorted(found.items())},
        )

    def image_reasons(self, image: ImageNumbers) -> list[str]:
        """What of an image is unlike training: its intensities, voxels and orientation, one sentence each."""
        reasons = []
        if len(image.intensity) == len(self.intensity):
            ranges, values = np.array(self.intensity), np.array(image.intensity)
            margin = self._margin(IMAGE_MARGIN) * (ranges[..., 1] - ranges[..., 0]) + 1e-6
            outside = (values < ranges[..., 0] - margin) | (values > ranges[..., 1] + margin)
            if names := [name for name, is_out in zip(STATISTICS, outside.any(0), strict=True) if is_out]:
                reasons.append(f"the image's intensities are unlike training: {', '.join(names)}")
        (finest, coarsest), own = self.spacing_mm, image.spacing_mm
        if min(own) < finest / (1 + SPACING_MARGIN) or max(own) > coarsest * (1 + SPACING_MARGIN):
            size = " x ".join(f"{step:g}" for step in own)
            reasons.append(f"the image's voxels are unlike training: {size} mm, there {finest:g} to {coarsest:g} mm")
        if self.orientations and image.orientation and image.orientation not in self.orientations:
            reasons.append(
                f"the image's axes point to {image.orientation}, in training to {', '.join(self.orientations)}"
            )
        return reasons

    def structure_reasons(self, index: str, name: str, volume_ml: float, pieces: int) -> dict[str, str]:
        """What of a structure is unlike training, by ``volume`` and ``pieces``; one not there is not judged."""
        reasons = {}
        if index in self.volume_ml:
            smallest, largest = self.volume_ml[index]
            margin = self._margin(SIZE_MARGIN)
            if not smallest / (1 + margin) <= volume_ml <= largest * (1 + margin):
                reasons["volume"] = f"{name}: {volume_ml:.3g} ml, in training {smallest:.3g} to {largest:.3g} ml"
        if pieces > self.pieces.get(index, pieces):
            reasons["pieces"] = f"{name} lies in {pieces} pieces, in training in at most {self.pieces[index]}"
        return reasons

    def _margin(self, shares: tuple[float, float]) -> float:
        """The fewer the cases, the less their range says of the next one."""
        return shares[0] + shares[1] / self.cases


def count_pieces(mask: np.ndarray) -> int:
    """Connected pieces of a mask; voxels that share a corner are connected.

    Example:
        >>> count_pieces(np.array([True, False, True, True]))
        2
    """
    box = ndimage.find_objects(mask.astype(np.uint8))
    return int(ndimage.label(mask[box[0]], structure=np.ones([3] * mask.ndim))[1]) if box else 0


def _statistics(channel: np.ndarray) -> tuple[float, ...]:
    values = channel.ravel()[:: max(1, channel.size // VOXELS)]
    steps = [_mean_step(channel, axis) for axis in range(channel.ndim) if channel.shape[axis] > 1]
    sharpness = float(np.log(max(np.mean(steps) if steps else 0.0, 1e-6)))
    return (*map(float, np.percentile(values, PERCENTILES)), sharpness)


def _mean_step(channel: np.ndarray, axis: int) -> float:
    """Mean difference between neighbours along an axis, over some of its slices."""
    first = np.unique(np.linspace(0, channel.shape[axis] - 2, SLICES).round().astype(int))
    return float(np.abs(np.take(channel, first + 1, axis) - np.take(channel, first, axis)).mean())
