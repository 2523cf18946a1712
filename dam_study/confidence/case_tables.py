"""Fair tables of the number of a case: each rival with the same calibration, which never saw the kind of image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from dam_components.metrics import DiceCalibration, percentile_interval
from dam_components.metrics.dice_interval import CLEAN
from dam_study.confidence.case_images import JUDGE, LEARN, OTHER_REASONS

__all__ = ["calibrated_images", "case_aurc", "flag_table", "kind_table", "rival_table", "score_names"]

PREFIX = "predicted_dice_"
BAD = 0.5  # mean Dice of a failed image
FOLDS = 5
INTERVAL = "{:+.2f} [{:+.2f}, {:+.2f}]"
IMAGE = ["case", "kind", "severity"]


def score_names(rows: pd.DataFrame) -> list[str]:
    """The scores that predict the Dice of the rows."""
    return [column.removeprefix(PREFIX) for column in map(str, rows) if column.startswith(PREFIX)]


def case_aurc(predicted: np.ndarray, true: np.ndarray) -> float:
    """Area under the risk-coverage curve, times 100: the mean of 1 - Dice of the images kept, over all coverages.

    Images are kept in order of falling predicted Dice; of equal ones the order of the rows counts.

    Example:
        >>> case_aurc(np.array([0.9, 0.8]), np.array([1.0, 0.5]))  # 0 of the first, 0.25 of both
        12.5
    """
    risk = 1 - true[np.argsort(-predicted, kind="stable")]
    return float(100 * (np.cumsum(risk) / np.arange(1, len(risk) + 1)).mean())


def calibrated_images(rows: pd.DataFrame, level: float = 0.9) -> pd.DataFrame:
    """The judged rows with each score calibrated, ``calibrated_<score>``, and D's interval, ``low`` and ``high``.

    Where rows have a section, the calibration learns from ``validation`` and judges ``test``. Where not, it learns from
    the cases of the other folds, 5. A kind of image is left out of the calibration that judges it; clean images never.

    Args:
        rows: an image and structure each: ``case``, ``kind``, ``class``, ``true_dice``, ``predicted_dice_<score>``.
        level: of the interval.
    """
    judged = []
    for _, of_class in rows.groupby("class", sort=False):
        for learn, test in _splits(of_class):
            for kind, images in test.groupby("kind", sort=False):
                seen = learn[(learn["kind"] != kind) | (kind == CLEAN)]
                judged.append(_calibrate(seen, images, level))
    return pd.concat(judged).sort_index()


def _splits(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    if "section" in rows:
        yield rows[rows["section"] == LEARN], rows[rows["section"] == JUDGE]
        return
    for learn, test in GroupKFold(FOLDS).split(rows, groups=rows["case"]):
        yield rows.iloc[learn], rows.iloc[test]


def _calibrate(seen: pd.DataFrame, images: pd.DataFrame, level: float) -> pd.DataFrame:
    found = images.copy()
    there = ~seen["absent"].astype(bool) if "absent" in seen else np.ones(len(seen), bool)
    seen = seen[there]
    for score in score_names(images):
        pairs = seen[[PREFIX + score]].to_numpy(), seen[["true_dice"]].to_numpy()
        fitted = DiceCalibration.fit(*pairs, level, seen["case"].tolist(), seen["kind"].tolist())
        dice, low, high = (values[:, 0] for values in fitted(images[[PREFIX + score]].to_numpy()))
        absent = images["absent"].to_numpy(bool) if "absent" in images else np.zeros(len(images), bool)
        found[f"calibrated_{score}"] = np.where(absent, 0.0, dice)
        if score == "D":
            found["low"], found["high"] = np.where(absent, 0.0, low), np.where(absent, 1.0, high)
    return found


def rival_table(images: pd.DataFrame, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """A row a score, raw and calibrated, over the mean Dice of each image.

    Mean absolute error on clean and on spoilt images (mean over kinds), Spearman's correlation and AUROC for a mean
    Dice below 0.5 over all, AURC, and calibrated D's AURC minus it with its 95 % interval over cases. ``best possible``
    orders by the true Dice; ``random`` is the mean over all orders.
    """
    columns = [c for c in map(str, images) if c.startswith((PREFIX, "calibrated_"))]
    mean = images.groupby([c for c in IMAGE if c in images], sort=False)[["true_dice", *columns]].mean().reset_index()
    draws = _draws(mean, resamples, seed)
    true, reference = mean["true_dice"].to_numpy(), mean["calibrated_D"].to_numpy()
    own = _resampled(reference, true, draws)
    table = []
    for column in columns:
        said = mean[column].to_numpy()
        error = (mean[column] - mean["true_dice"]).abs()
        clean = mean["kind"] == CLEAN
        values = _resampled(said, true, draws)
        difference = percentile_interval(own - values)
        kind, score = ("raw", column.removeprefix(PREFIX)) if column.startswith(PREFIX) else ("calibrated", column[11:])
        table.append(
            {
                "score": f"{score}, {kind}",
                "error, clean": error[clean].mean(),
                "error, spoilt": error[~clean].groupby(mean["kind"]).mean().mean(),
                "Spearman": float(spearmanr(said, true).statistic),
                "AUROC, Dice below 0.5": roc_auc_score(true < BAD, -said) if (true < BAD).any() else np.nan,
                "AURC": values[0],
                "D, calibrated, minus it": "" if column == "calibrated_D" else INTERVAL.format(*difference),
            }
        )
    for name, value in (("best possible", case_aurc(true, true)), ("random", float(100 * (1 - true).mean()))):
        table.append({"score": name, "AURC": value, "D, calibrated, minus it": ""})
    return pd.DataFrame(table)


def kind_table(images: pd.DataFrame, scores: tuple[str, ...] = ("D", "softmax")) -> pd.DataFrame:
    """A row a kind, clean first, and the mean of the spoilt kinds: errors, coverage and width of the intervals."""
    inside = images["true_dice"].between(images["low"], images["high"])
    found = images.assign(coverage=inside, width=images["high"] - images["low"], images=1)
    for score in scores:
        found[f"error, {score}"] = (found[f"calibrated_{score}"] - found["true_dice"]).abs()
    measures = ["true_dice", *(f"error, {score}" for score in scores), "coverage", "width"]
    table = found.groupby("kind", sort=False)[measures].mean()
    spoilt = table.drop(index=CLEAN)
    if len(spoilt):
        table.loc["mean of the spoilt kinds"] = spoilt.mean()
        table.loc["worst of the spoilt kinds"] = pd.Series({"coverage": spoilt["coverage"].min()})
    return table.reset_index()


def flag_table(images: pd.DataFrame, below: float = 0.8) -> pd.DataFrame:
    """A row a reason to review and one for all: the share of clean images, and of failed ones, that it flags.

    ``failed`` are images with a mean Dice below 0.5.

    Args:
        images: of :func:`calibrated_images`, with a column a reason.
        below: the calibrated Dice below which a structure is for review.
    """
    reasons = images[list(OTHER_REASONS)].astype(bool).assign(dice=images["calibrated_D"] < below)
    flags = pd.concat([images[[*IMAGE, "true_dice"]], reasons], axis=1)
    groups = flags.groupby(IMAGE, sort=False)
    by_image = groups[[*reasons]].any().assign(true_dice=groups["true_dice"].mean())
    by_image["any of them"] = by_image[[*reasons]].any(axis=1)
    kind = by_image.index.get_level_values("kind")
    sets: dict[str, pd.Series] = {
        "clean": pd.Series(kind == CLEAN, by_image.index),
        "failed": by_image["true_dice"] < BAD,
        "a structure below 0.8, spoilt": (groups["true_dice"].min() < below) & (kind != CLEAN),
    }
    names = [*reasons, "any of them"]
    counts = {f"{name} ({int(which.sum())} images)": by_image[which][names].mean() for name, which in sets.items()}
    return pd.DataFrame(counts).rename_axis("reason").reset_index()


def _draws(images: pd.DataFrame, resamples: int, seed: int) -> list[np.ndarray]:
    """Rows of all images, and of resamples of the cases with all their images."""
    rows = [np.flatnonzero(images["case"] == case) for case in images["case"].unique()]
    random = np.random.default_rng(seed)
    picked = random.integers(len(rows), size=(resamples, len(rows)))
    return [np.arange(len(images)), *(np.concatenate([rows[i] for i in draw]) for draw in picked)]


def _resampled(predicted: np.ndarray, true: np.ndarray, draws: list[np.ndarray]) -> np.ndarray:
    return np.array([case_aurc(predicted[draw], true[draw]) for draw in draws])
