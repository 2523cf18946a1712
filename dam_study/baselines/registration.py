"""Registration of one image onto another with SimpleITK: affine, then B-spline or demons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dam_study.baselines.simple_itk import simple_itk, to_itk

__all__ = ["Registration", "Warp"]

Warp = Callable[..., np.ndarray]
DEFORMABLE = ("bspline", "demons", "none")
METRICS = ("mutual_information", "correlation")


@dataclass(frozen=True)
class Registration:
    """Finds where an image lies in another: middle onto middle, then affine, then deformable.

    Affine: regular step gradient descent, coarse to fine. ``bspline``: L-BFGS-B over the displacements of a grid of
    control points (Rueckert et al. 1999), on the finest level. ``demons``: fast symmetric forces (Vercauteren et al.
    2009) after matching the histograms. One seed and one thread give the same result again.

    Args:
        deformable: ``bspline``, ``demons``, or ``none`` for affine alone.
        metric: ``mutual_information`` (Mattes, 32 bins) or ``correlation``, of affine and B-spline.
        levels: by how much the affine steps shrink the images, coarse to fine; each also smooths by half of it, in
            voxels.
        iterations: of the affine step, each level.
        deformable_iterations: of the deformable step.
        grid_mm: distance of the B-spline's control points.
        smoothing: of the demons' displacements, a standard deviation in voxels.
        samples: voxels that the metric looks at, at most.
        seed: of the samples.
        threads: of SimpleITK.

    Raises:
        ValueError: for an option out of range.

    Example:
        >>> image = np.zeros((16, 16, 16), np.float32)
        >>> image[5:11, 4:12, 6:10] = 1
        >>> warp = Registration("none", "correlation", levels=(1,))(image, np.roll(image, 2, 0), (1.0, 1.0, 1.0))
        >>> warp(np.roll(image, 2, 0), nearest=True).shape
        (16, 16, 16)
    """

    deformable: str = "bspline"
    metric: str = "mutual_information"
    levels: Sequence[int] = (2, 1)
    iterations: int = 60
    deformable_iterations: int = 30
    grid_mm: float = 15.0
    smoothing: float = 1.5
    samples: int = 20000
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name, known in (("deformable", DEFORMABLE), ("metric", METRICS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not self.levels or min(self.levels) < 1:
            raise ValueError(f"levels must be shrink factors of at least 1, such as (2, 1), got {self.levels!r}")
        for name in ("iterations", "deformable_iterations", "samples", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        for name in ("grid_mm", "smoothing"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def __call__(self, fixed: np.ndarray, moving: np.ndarray, spacing_mm: Sequence[float]) -> Warp:
        """Registers ``moving`` onto ``fixed``, volumes without channels.

        Returns:
            ``warp(volume, nearest=False)``: a volume on the grid of ``moving`` brought to that of ``fixed``, linearly
            or with the nearest voxel's value; outside it has the lowest value of the volume.

        Raises:
            RuntimeError: SimpleITK's own, where the images do not overlap or are constant.
        """
        sitk = simple_itk()
        onto, image = (to_itk(volume.astype(np.float32), spacing_mm) for volume in (fixed, moving))
        place = self._affine(sitk, onto, image)
        if self.deformable != "none":
            step = self._bspline if self.deformable == "bspline" else self._demons
            place = sitk.CompositeTransform([place, step(sitk, onto, image, place)])  # the last one comes first

        def warp(volume: np.ndarray, nearest: bool = False) -> np.ndarray:
            how = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
            moved = sitk.Resample(to_itk(volume, spacing_mm), onto, place, how, float(volume.min()))
            return np.asarray(sitk.GetArrayFromImage(moved)).T

        return warp

    def _affine(self, sitk: Any, fixed: Any, moving: Any) -> Any:
        method = self._method(sitk, fixed, self.levels)
        method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, self.iterations)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(sitk.AffineTransform(fixed.GetDimension()), inPlace=False)
        return method.Execute(fixed, moving)

    def _bspline(self, sitk: Any, fixed: Any, moving: Any, affine: Any) -> Any:
        extent = [n * step for n, step in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
        grid = [max(1, round(length / self.grid_mm)) for length in extent]
        method = self._method(sitk, fixed, [1])
        method.SetMovingInitialTransform(affine)
        method.SetInitialTransform(sitk.BSplineTransformInitializer(fixed, grid), inPlace=False)
        method.SetOptimizerAsLBFGSB(numberOfIterations=self.deformable_iterations)
        return method.Execute(fixed, moving)

    def _demons(self, sitk: Any, fixed: Any, moving: Any, affine: Any) -> Any:
        alike = sitk.HistogramMatching(moving, fixed, thresholdAtMeanIntensity=False)
        lowest = float(sitk.GetArrayViewFromImage(alike).min())
        near = sitk.Resample(alike, fixed, affine, sitk.sitkLinear, lowest)
        method = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        method.SetNumberOfThreads(self.threads)
        method.SetNumberOfIterations(self.deformable_iterations)
        method.SetStandardDeviations(self.smoothing)
        field = method.Execute(fixed, near)
        return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))

    def _method(self, sitk: Any, fixed: Any, levels: Sequence[int]) -> Any:
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(self.threads)
        if self.metric == "correlation":
            method.SetMetricAsCorrelation()
        else:
            method.SetMetricAsMattesMutualInformation(32)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetShrinkFactorsPerLevel([int(level) for level in levels])
        method.SetSmoothingSigmasPerLevel([level / 2 if level > 1 else 0.0 for level in levels])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
        voxels = [np.prod([max(1, n // level) for n in fixed.GetSize()]) for level in levels]
        method.SetMetricSamplingStrategy(method.REGULAR)
        shares = [float(min(1.0, self.samples / count)) for count in voxels]
        method.SetMetricSamplingPercentagePerLevel(shares, self.seed + 1)  # 0 is the clock
        return method
