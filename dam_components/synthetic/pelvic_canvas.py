"""Random smooth fields, superellipsoids and soft painting on a voxel grid that is measured in millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.interpolate import BSpline

__all__ = ["Box", "Canvas", "ray_distance", "smooth_field"]

Box = tuple[slice, slice, slice]

_REACH_MM = 220.0  # fields live on |x|, |y|, |z| <= this, whatever the field of view: a seed stays one subject
_BEND_MM, _BEND_LATTICE_MM = 3.5, 42.0


def smooth_field(rng: Generator, lattice_mm: float, axes: Sequence[np.ndarray]) -> np.ndarray:
    """A smooth random field of zero mean and unit variance: cubic B-splines with normal coefficients on a lattice.

    It is a function of space, not of the grid: the same generator state gives the same field on any axes.

    Args:
        rng: source of the coefficients; how many it draws depends on ``lattice_mm`` alone.
        lattice_mm: distance of the knots, about half the shortest wavelength that the field can show.
        axes: coordinates along x, y and z in mm, each of one dimension; the field is constant beyond 220 mm.

    Returns:
        float32 array of shape ``(len(x), len(y), len(z))``.

    Example:
        >>> axes = [np.arange(-20.0, 20.0)] * 3
        >>> smooth_field(np.random.default_rng(0), 15.0, axes).shape
        (40, 40, 40)
    """
    count = int(np.ceil(2 * _REACH_MM / lattice_mm)) + 3
    knots = (np.arange(count + 4) - 3) * lattice_mm - _REACH_MM
    field = rng.standard_normal((count, count, count), dtype=np.float32)
    for axis in axes:  # the leading direction is contracted and comes back last, so three turns restore x, y, z
        inside = np.clip(axis.astype(np.float64), -_REACH_MM, _REACH_MM - 1e-6)
        basis = BSpline.design_matrix(inside, knots, 3).astype(np.float32)
        # a sparse product: four terms a point, and, unlike BLAS, the same to the last bit on any number of threads
        contracted = basis @ field.reshape(count, -1)
        field = np.moveaxis(contracted.reshape(len(inside), *field.shape[1:]), 0, -1)
    field = np.ascontiguousarray(field)
    # the squares of the four cubic B-splines over a point sum to 151/315 on average, in each of three directions
    field /= np.float32((151 / 315) ** 1.5)
    return field


def ray_distance(xyz: tuple[np.ndarray, np.ndarray, np.ndarray], semi_mm: ArrayLike, power: float = 2.0) -> np.ndarray:
    """Distance to a superellipsoid along the ray from its centre, in mm, negative inside.

    ``|r| (1 - 1/g)`` with ``g = (|x/a|^p + |y/b|^p + |z/c|^p)^(1/p)``. For a ball (p=2, a=b=c) it is the distance.

    Args:
        xyz: coordinates x, y, z relative to the centre, in mm; shapes that broadcast.
        semi_mm: the semi-axes a, b, c.
        power: p; 2 is an ellipsoid, more is boxier.

    Example:
        >>> zero = np.zeros(1)
        >>> round(float(ray_distance((np.array([13.0]), zero, zero), (10.0, 10.0, 10.0))[0]), 6)
        3.0
    """
    x, y, z = xyz
    a, b, c = np.asarray(semi_mm, dtype=float).tolist()
    if power == 2:
        g = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    else:
        g = (np.abs(x / a) ** power + np.abs(y / b) ** power + np.abs(z / c) ** power) ** (1 / power)
    return np.sqrt(x * x + y * y + z * z) * (1 - 1 / np.maximum(g, 1e-3))


class Canvas:
    """An image under paint, and the bent coordinates in which its shapes are drawn.

    The bending is one smooth displacement of the whole space: it makes every shape irregular and asymmetric, and
    leaves shapes that touch touching.

    Args:
        axes: coordinates of the voxels' centres along x, y and z in mm.
        rng: draws the bending.
        value: what the image holds at first.
    """

    def __init__(self, axes: Sequence[np.ndarray], rng: Generator, value: float) -> None:
        self.axes = [np.asarray(axis, dtype=np.float32) for axis in axes]
        self.edge_mm = max(1.2, 0.9 * max(float(axis[1] - axis[0]) for axis in self.axes))
        grid = np.meshgrid(*self.axes, indexing="ij", sparse=True)
        self.bent = [g + _BEND_MM * smooth_field(rng, _BEND_LATTICE_MM, self.axes) for g in grid]
        self.image = np.full(self.bent[0].shape, value, dtype=np.float32)

    def box(self, low_mm: ArrayLike, high_mm: ArrayLike) -> Box:
        """Index ranges that hold every voxel whose bent coordinates lie between two corners."""
        corners = np.stack((np.subtract(low_mm, 4 * _BEND_MM), np.add(high_mm, 4 * _BEND_MM)), axis=1)
        x, y, z = (slice(*np.searchsorted(axis, ends).tolist()) for axis, ends in zip(self.axes, corners, strict=True))
        return x, y, z

    def local(self, box: Box, centre_mm: ArrayLike, turn_deg: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bent coordinates in a box, relative to a centre, turned about z."""
        centre = np.asarray(centre_mm, dtype=np.float32)
        x, y, z = (bent[box] - c for bent, c in zip(self.bent, centre, strict=True))
        if turn_deg:
            cos, sin = float(np.cos(np.deg2rad(turn_deg))), float(np.sin(np.deg2rad(turn_deg)))
            x, y = cos * x + sin * y, cos * y - sin * x
        return x, y, z

    def ellipsoid(self, centre_mm: ArrayLike, semi_mm: ArrayLike, turn_deg: float = 0.0) -> tuple[Box, np.ndarray]:
        """The box around an ellipsoid turned about z, and the distance to its surface there."""
        semi = np.asarray(semi_mm, dtype=float)
        across = semi[:2].max() if turn_deg else 0.0
        reach = np.maximum(semi, (across, across, 0.0))
        box = self.box(np.subtract(centre_mm, reach), np.add(centre_mm, reach))
        return box, ray_distance(self.local(box, centre_mm, turn_deg), semi)

    def paint(
        self,
        box: Box,
        distance: np.ndarray,
        value: np.ndarray | float,
        cover: np.ndarray | float = 1.0,
        edge_mm: float | None = None,
    ) -> None:
        """Blends ``value`` into the image where ``distance`` is negative.

        Args:
            box: where to paint; the arrays have its shape or broadcast to it.
            distance: to the shape's surface in mm, negative inside.
            value: the intensity.
            cover: 1 hides what was there, 0 leaves it.
            edge_mm: width of the transition; by default about a voxel, which is the partial volume.
        """
        width = self.edge_mm if edge_mm is None else max(edge_mm, self.edge_mm)
        alpha = np.clip(0.5 - distance / width, 0, 1) * cover
        view = self.image[box]
        view += alpha * (value - view)
