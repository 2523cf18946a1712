r"""From the raw predicted Dice to a calibrated one with an interval, learnt from cases whose true Dice is known."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import lsq_linear
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold

from dam_components.atomic_files import write_whole
from dam_components.metrics.dice_interval import CLEAN, IntervalEnds, fit_interval
from dam_components.metrics.training_range import TrainingRange

FOLDS = 5


def fit_dice_map(raw: ArrayLike, true: ArrayLike, weights: ArrayLike | None = None) -> tuple[list[float], list[float]]:
    """Knots of the rising map from raw to true Dice that is next to the pairs: centred isotonic regression.

    scikit-learn's isotonic regression gives a staircase; a knot at the centre of each step, and straight lines between
    them, make it rise strictly (Oron and Flournoy 2017), so that no two cases tie. It ends in (0, 0) and (1, 1): D is
    sure of all there. Raw Dice of good images is nearly right and that of spoilt ones far too high, a bend that a map
    of two numbers (offset and slope of the logit) does not follow: on the hippocampus' 20 validation cases and their
    hard copies, cross-fitted, such a map erred by 0.090 and this one by 0.078; with 3 of the cases by 0.097 and 0.089.

    Args:
        raw: predicted Dice, (N,).
        true: true Dice, (N,).
        weights: of the pairs, (N,); ``None``: all alike.

    Returns:
        Raw and calibrated Dice at the knots; between them the map is straight.

    Example:
        >>> fit_dice_map([0.2, 0.5, 0.6, 0.9], [0.1, 0.4, 0.2, 0.8])
        ([0.0, 0.2, 0.55, 0.9, 1.0], [0.0, 0.1, 0.3, 0.8, 1.0])
    """
    raw = np.asarray(raw, dtype=float)
    weight = np.ones_like(raw) if weights is None else np.asarray(weights, dtype=float)
    steps = IsotonicRegression(y_min=0, y_max=1).fit(raw, np.asarray(true, dtype=float), weight).predict(raw).round(9)
    levels, step = np.unique(steps, return_inverse=True)
    centres = np.bincount(step, raw * weight) / np.bincount(step, weight)
    inner = (centres > 0) & (centres < 1) & (levels > 0) & (levels < 1)
    return [0.0, *centres[inner].tolist(), 1.0], [0.0, *levels[inner].tolist(), 1.0]


def conformal_quantile(scores: ArrayLike, level: float) -> float:
    r"""The :math:`\lceil (n + 1)\,level \rceil`-th smallest of n scores: a new one is below it with chance ``level``.

    Raises:
        ValueError: ``level`` is not between 0 and 1, or n is too small for it.

    Example:
        >>> conformal_quantile(range(1, 20), level=0.9)  # the 18th of 19
        18.0
    """
    check_level(level)
    ordered = np.sort(np.asarray(scores, dtype=float))
    rank = math.ceil((len(ordered) + 1) * level - 1e-9)
    if rank > len(ordered):
        raise ValueError(
            f"an interval of level {level} needs at least {min_cases(level)} pairs of raw and true Dice, got "
            f"{len(ordered)}: add calibration cases, or lower the level."
        )
    return float(ordered[rank - 1])


def check_level(level: float) -> None:
    """Refuses a level that no interval can have.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")


def min_cases(level: float) -> int:
    r"""How many cases an interval needs for its level: n with :math:`(n + 1)\,level \le n`.

    Example:
        >>> min_cases(0.9), min_cases(0.75)
        (9, 3)
    """
    return math.ceil(level / (1 - level) - 1e-9)


@dataclass(frozen=True)
class ClassCalibration:
    """One class: the map, and its interval: ``ends``, or half widths ``spread_base + spread_slope * (1 - calibrated)``.

    Attributes:
        raw: raw Dice at the map's knots, rising.
        dice: calibrated Dice there.
        spread_base: of the interval.
        spread_slope: of the interval.
        pairs: that it was learnt from.
        ends: of the interval, fitted over kinds of image; ``None``: the spread counts.

    Raises:
        ValueError: the knots are none, or do not rise.
    """

    raw: Sequence[float]
    dice: Sequence[float]
    spread_base: float
    spread_slope: float
    pairs: int
    ends: IntervalEnds | None = None

    def __post_init__(self) -> None:
        if not len(self.raw) == len(self.dice) > 0 or np.any(np.diff([self.raw, self.dice]) <= 0):
            raise ValueError("the knots of a map from raw to calibrated Dice must rise, one of each for every knot")
        knots = np.array([self.raw, self.dice], float)
        if not ((knots >= 0) & (knots <= 1)).all():
            raise ValueError(f"a Dice lies in 0..1, got {knots.min():.4g}..{knots.max():.4g}")
        if not all(0 <= spread < np.inf for spread in (self.spread_base, self.spread_slope)):
            raise ValueError(f"spreads must be 0 or more, got {self.spread_base} and {self.spread_slope}")

    def __call__(self, raw: ArrayLike) -> np.ndarray:
        """The calibrated Dice; nan stays nan.

        Example:
            >>> ClassCalibration([0.5, 0.9], [0.2, 0.8], 0.0, 0.0, 2)([0.1, 0.7, 1.0]).round(4).tolist()
            [0.2, 0.5, 0.8]
        """
        return np.interp(np.asarray(raw, dtype=float), self.raw, self.dice)

    def interval(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both ends at a raw Dice, in 0..1, with the calibrated Dice between them."""
        dice = self(raw)
        half = self.spread_base + self.spread_slope * (1 - dice)
        low, high = (dice - half, dice + half) if self.ends is None else self.ends(raw)
        return np.minimum(low, dice).clip(0, 1), np.maximum(high, dice).clip(0, 1)


@dataclass(frozen=True)
class DiceCalibration:
    r"""Raw predicted Dice to calibrated Dice with an interval, class by class.

    The map g: :func:`fit_dice_map`. The interval, where pairs come from several kinds of image:
    :func:`~dam_components.metrics.dice_interval.fit_interval`. Where all are of one kind: with residuals
    :math:`e_i = |d_i - g(r_i)|`, each from a map fitted without the pair's fold (5 folds, whole groups), the spread is
    :math:`s(g) = \alpha + \beta (1 - g)`, :math:`\alpha, \beta \ge 0`, fitted to them by least squares: the worse a
    case looks, the less is known of it. The half width is :math:`s` times the :func:`conformal_quantile` of
    :math:`e_i / s(g_i)`. A new case of that kind lies inside with chance ``level``, closely: cross-fitted residuals
    make this near to split conformal prediction, not equal to it, and cases of other kinds are promised nothing.

    Attributes:
        level: the interval's coverage; ``None`` for the identity, which has no interval.
        classes: one entry a foreground class.
        networks: :func:`~dam_components.networks.file_digests` of the S (each, if several are averaged) and of the D
            whose Dice it is; empty where unknown.
        label_names: name of each foreground class by its index; empty where unknown.
        training: what images and structures were like in training; ``None`` where unknown.

    Example:
        >>> random = np.random.default_rng(0)
        >>> raw = random.uniform(0.5, 0.95, (100, 1))
        >>> calibration = DiceCalibration.fit(raw, (raw - 0.1 + 0.02 * random.standard_normal((100, 1))).clip(0, 1))
        >>> dice, low, high = calibration([0.8])
        >>> bool(low[0] < dice[0] < high[0]), round(float(dice[0]), 1)
        (True, 0.7)
    """

    level: float | None
    classes: tuple[ClassCalibration, ...]
    networks: tuple[str, ...] = ()
    label_names: Mapping[str, str] = field(default_factory=dict)
    training: TrainingRange | None = None

    @classmethod
    def identity(cls, classes: int) -> DiceCalibration:
        """Leaves the raw Dice as it is, with no interval: what to use before anything was calibrated."""
        return cls(None, (ClassCalibration([0.0, 1.0], [0.0, 1.0], 0.0, 0.0, 0),) * classes)

    @classmethod
    def fit(
        cls,
        raw: ArrayLike,
        true: ArrayLike,
        level: float = 0.9,
        groups: Sequence[object] | None = None,
        kinds: Sequence[str] | None = None,
    ) -> DiceCalibration:
        """Learns from calibration cases, clean and corrupted, that S and D were not trained on.

        Args:
            raw: predicted Dice, (N, foreground classes); nan leaves a pair out. Leave out classes that S predicts
                nowhere: their raw value is no overlap.
            true: true Dice, the same shape; nan leaves a pair out.
            level: coverage of the interval.
            kinds: N names of kinds of image, "clean" for images as in training, which then weigh as much as all others
                together. With two other kinds or more, the interval is made to hold on kinds that took no part.
            groups: N values; the rows of one patient (a case and its corrupted copies) share one, so that no residual
                is measured with a map that saw the same patient. By default every row is a patient of its own. Copies
                do not make up for patients: with fewer than :func:`min_cases` the interval holds less than
                ``level``. In a simulation of patients that differ by a standard deviation of 0.04, an interval of 90 %
                from 3 patients with 24 copies each held 72 %, from 20 patients 90 %.

        Raises:
            ValueError: shapes differ, values lie outside 0..1, or there are too few pairs or groups.
        """
        raw, true = np.asarray(raw, dtype=float), np.asarray(true, dtype=float)
        if raw.ndim != 2 or raw.shape != true.shape or raw.shape[1] == 0:
            raise ValueError(f"raw and true must both be (N, foreground classes), got {raw.shape} and {true.shape}.")
        for name, values in (("raw", raw), ("true", true)):
            if np.any((values < 0) | (values > 1)):
                raise ValueError(f"{name} must be Dice in 0..1 (or nan), got values outside.")
        owners = np.arange(len(raw)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        if len(owners) != len(raw):
            raise ValueError(f"groups must hold one value for each of the {len(raw)} rows, got {len(owners)}.")
        if kinds is not None and len(kinds) != len(raw):
            raise ValueError(f"kinds must hold one name for each of the {len(raw)} rows, got {len(kinds)}.")
        kind = np.array([CLEAN] * len(raw) if kinds is None else [str(name) for name in kinds])
        entries = []
        for c in range(raw.shape[1]):
            known = np.isfinite(raw[:, c]) & np.isfinite(true[:, c])
            try:
                entries.append(_fit_class(raw[known, c], true[known, c], level, owners[known], kind[known]))
            except ValueError as error:
                raise ValueError(f"class {c + 1}: {error}") from None
        return cls(level, tuple(entries))

    def __call__(self, raw: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Calibrated Dice and both ends of its interval; without a level the ends are nan.

        Args:
            raw: predicted Dice, (..., foreground classes).

        Returns:
            Three arrays of the shape of ``raw``, in 0..1.

        Raises:
            ValueError: another number of classes.
        """
        raw = np.asarray(raw, dtype=float)
        if raw.ndim == 0 or raw.shape[-1] != len(self.classes):
            raise ValueError(f"raw must end in {len(self.classes)} foreground classes, got shape {raw.shape}.")
        if self.level is None:
            return raw.clip(0, 1), np.full(raw.shape, np.nan), np.full(raw.shape, np.nan)
        dice, low, high = (np.empty(raw.shape) for _ in range(3))
        for c, entry in enumerate(self.classes):
            dice[..., c] = entry(raw[..., c])
            low[..., c], high[..., c] = entry.interval(raw[..., c])
        return dice, low, high

    def save(self, path: str | os.PathLike) -> None:
        """Writes plain JSON with a checksum of it, whole or not at all."""
        content = json.loads(json.dumps(asdict(self), allow_nan=False))
        write_whole(path, json.dumps({**content, "checksum": _checksum(content)}, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike, classes: int | None = None) -> DiceCalibration:
        """Reads what :meth:`save` wrote.

        Args:
            path: the file.
            classes: foreground classes that are expected; ``None``: any number.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no calibration, its checksum does not fit, or it is one for another number of classes.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no calibration {path}: save what DiceCalibration.fit gives there")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            _check_whole(content)
            training = content.get("training")
            level = content["level"]
            if level is not None and not 0 < float(level) < 1:
                raise ValueError(f"the level of intervals lies between 0 and 1, got {level}")
            calibration = cls(
                None if level is None else float(level),
                tuple(_read_class(c) for c in content["classes"]),
                _listed(content.get("networks", ())),
                {str(index): str(name) for index, name in content.get("label_names", {}).items()},
                None if training is None else TrainingRange(**training),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no Dice calibration ({error}); fit and save it again") from None
        if classes is not None and len(calibration.classes) != classes:
            raise ValueError(
                f"{path} was fitted for {len(calibration.classes)} foreground classes, this configuration has "
                f"{classes}: fit it again for this task"
            )
        return calibration


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_whole(content: dict[str, Any]) -> None:
    """Takes the checksum out, which files that were written before 0.2 do not have.

    Raises:
        ValueError: an entry is unknown, or the numbers are not those that were written.
    """
    checksum = content.pop("checksum", None)
    if unknown := sorted(content.keys() - {entry.name for entry in fields(DiceCalibration)}):
        raise ValueError(f"unknown entry {unknown[0]}")
    if checksum is not None and checksum != _checksum(content):
        raise ValueError("its checksum does not fit its numbers: it is damaged, or was changed by hand")


def _listed(networks: str | Sequence[str]) -> tuple[str, ...]:
    """The digests; one text in files that were written before 0.2."""
    return tuple(filter(None, [networks] if isinstance(networks, str) else map(str, networks)))


def _read_class(entry: Mapping[str, Any]) -> ClassCalibration:
    ends = entry.get("ends")
    return ClassCalibration(**{**entry, "ends": None if ends is None else IntervalEnds(**ends)})


def _fit_class(
    raw: np.ndarray, true: np.ndarray, level: float, groups: np.ndarray, kinds: np.ndarray
) -> ClassCalibration:
    conformal_quantile(raw, level)  # enough pairs for the level, said before anything is fitted
    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2:
        raise ValueError("the pairs must come from at least 2 groups, got 1.")
    clean = kinds == CLEAN
    weights = np.where(clean, max((~clean).sum() / max(clean.sum(), 1), 1), 1.0)
    if len(np.unique(kinds[~clean])) > 1:
        ends = fit_interval(raw, true, kinds, groups, weights, level)
        return ClassCalibration(*fit_dice_map(raw, true, weights), 0.0, 0.0, len(raw), ends)
    held_out = np.empty_like(raw)
    for learn, test in GroupKFold(folds).split(raw, groups=groups):
        held_out[test] = np.interp(raw[test], *fit_dice_map(raw[learn], true[learn], weights[learn]))
    residuals = np.abs(true - held_out)
    design = np.stack([np.ones_like(held_out), 1 - held_out], axis=1)
    # the floor keeps a spread where all residuals are 0
    base, slope = lsq_linear(design, residuals, bounds=((1e-4, 0.0), np.inf)).x
    factor = conformal_quantile(residuals / (base + slope * (1 - held_out)), level)
    knots = fit_dice_map(raw, true, weights)
    return ClassCalibration(*knots, float(factor * base), float(factor * slope), len(raw))
