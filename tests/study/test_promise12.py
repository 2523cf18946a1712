import math

import numpy as np
import pytest

from dam_components.metrics import case_metrics
from dam_study.statistics import TABLE_2_REFERENCE, metric_score, promise12_score
from dam_study.statistics.promise12 import PERFECT

# Table 2 of the paper: DSC, ASD, 95HD, aRVD, each for whole, base, apex; then the printed score.
TABLE_2 = np.array(
    [
        [91.23, 89.07, 88.54, 1.60, 1.76, 1.57, 4.47, 4.48, 3.64, 2.08, -0.07, 2.23, 88.98],
        [91.61, 90.29, 88.05, 1.52, 1.65, 1.64, 4.21, 4.20, 3.85, 3.42, 1.86, 3.48, 88.84],
        [91.42, 89.41, 88.51, 1.54, 1.79, 1.57, 4.21, 4.88, 3.82, 5.27, 4.00, 6.43, 88.72],
        [90.12, 88.95, 87.71, 1.84, 1.73, 1.68, 5.36, 4.43, 3.99, 4.99, 2.19, 6.65, 88.28],
        [90.46, 88.51, 85.29, 1.70, 1.91, 1.90, 4.91, 5.04, 4.57, 2.14, 7.22, -4.93, 87.24],
        [90.26, 89.15, 88.36, 1.86, 1.79, 1.62, 5.57, 4.83, 3.90, 9.74, 10.73, 9.64, 87.04],
        [90.14, 88.09, 86.79, 1.83, 1.94, 1.79, 5.36, 5.13, 4.32, 4.53, 5.19, 2.05, 87.19],
        [89.43, 86.42, 86.81, 1.95, 2.13, 1.74, 5.54, 5.41, 4.29, 6.95, 11.04, 15.18, 86.65],
        [90.24, 88.98, 83.30, 1.74, 1.81, 2.11, 4.93, 4.51, 5.34, 6.01, 8.18, -7.33, 86.41],
        [88.81, 87.39, 85.46, 1.97, 2.01, 1.91, 5.29, 5.07, 4.35, 6.97, 4.76, 5.85, 85.93],
    ]
)
COLUMNS = [
    (region, metric) for metric in ("dice", "asd_mm", "hd95_mm", "arvd_percent") for region in ("whole", "base", "apex")
]


def rows_of(values: dict[tuple[str, str], float]) -> list[dict[str, float | str]]:
    return [
        {
            "region": region,
            "dice": values[region, "dice"],
            "asd_mm": values[region, "asd_mm"],
            "hd95_mm": values[region, "hd95_mm"],
            "rvd_percent": values[region, "arvd_percent"],
        }
        for region in ("whole", "base", "apex")
    ]


PERFECT_ROWS = rows_of({(region, metric): PERFECT[metric] for region, metric in COLUMNS})


def test_the_second_observer_scores_85_and_a_perfect_result_100():
    assert promise12_score(rows_of(dict(TABLE_2_REFERENCE))) == pytest.approx(85)
    assert promise12_score(PERFECT_ROWS) == 100


@pytest.mark.parametrize(
    ("value", "reference", "perfect", "expected"),
    [
        (0.95, 0.9, 1.0, 92.5),  # half way between perfect and the observer
        (0.8, 0.9, 1.0, 70.0),  # twice the observer's error
        (4.0, 2.0, 0.0, 70.0),
        (2 * 100 / 15, 2.0, 0.0, 0.0),  # the line meets 0 at 100/15 times the observer's error
        (50.0, 2.0, 0.0, 0.0),  # and stays there
        (math.nan, 2.0, 0.0, 0.0),
        (math.inf, 2.0, 0.0, 0.0),
    ],
)
def test_metric_score_is_linear_and_never_below_0(value, reference, perfect, expected):
    assert metric_score(value, reference, perfect) == pytest.approx(expected)


@pytest.mark.parametrize("reference", [0.0, math.nan, math.inf])
def test_metric_score_refuses_a_reference_that_gives_no_line(reference):
    with pytest.raises(ValueError, match=r"reference must be finite and differ from the perfect value 0\.0"):
        metric_score(1.0, reference, 0.0)


@pytest.mark.parametrize(("region", "metric"), COLUMNS)
def test_each_of_the_twelve_values_is_a_twelfth_of_the_score(region, metric):
    values = {key: PERFECT[key[1]] for key in COLUMNS}
    values[region, metric] = TABLE_2_REFERENCE[region, metric]
    assert promise12_score(rows_of(values)) == pytest.approx(100 - 15 / 12)


def test_volume_difference_is_scored_without_its_sign():
    too_small = [{**row, "rvd_percent": -5.0} for row in PERFECT_ROWS]
    too_large = [{**row, "rvd_percent": 5.0} for row in PERFECT_ROWS]
    assert promise12_score(too_small) == promise12_score(too_large) < 100


def test_reference_is_an_argument():
    lenient = {key: PERFECT[key[1]] + 2 * (value - PERFECT[key[1]]) for key, value in TABLE_2_REFERENCE.items()}
    assert promise12_score(rows_of(dict(TABLE_2_REFERENCE)), lenient) == pytest.approx(92.5)
    with pytest.raises(ValueError, match=r"reference must have a value .*\('apex', 'dice'\)"):
        promise12_score(PERFECT_ROWS, {k: v for k, v in TABLE_2_REFERENCE.items() if k != ("apex", "dice")})


def test_rows_of_case_metrics_fit_and_an_empty_prediction_scores_next_to_nothing():
    label = np.zeros((12, 12, 9), dtype=int)
    label[3:9, 3:9, 1:8] = 1
    rows = case_metrics(label, label, (1.0, 1.0, 3.0), {1: "prostate"}, regions=True)
    assert promise12_score(rows) == 100
    rows = case_metrics(np.zeros_like(label), label, (1.0, 1.0, 3.0), {1: "prostate"}, regions=True)
    # Distances and volumes score 0; Dice 0 is within the line's reach at the apex alone: 100 - 15 / (1 - 0.842) = 5.06.
    assert promise12_score(rows) == pytest.approx((100 - 15 / (1 - 0.842)) / 12)


def test_rows_must_hold_each_scored_region_once():
    with pytest.raises(ValueError, match="regions=True"):
        promise12_score(PERFECT_ROWS[:2])
    with pytest.raises(ValueError, match="one case and one structure"):
        promise12_score(PERFECT_ROWS + PERFECT_ROWS)


def test_the_default_reference_is_the_calibration_its_docstring_tells():
    errors = np.abs(TABLE_2[:, :12] - np.array([100] * 3 + [0] * 9))
    mean = errors.mean(axis=0)
    # score = 100 - 15/12 * sum(error / (mean / factor)), the three volume terms held at their average, 1 each
    relative = (errors[:, :9] / mean[:9]).sum(axis=1) + 3
    lost = (100 - TABLE_2[:, 12]) * 12 / 15
    factor = relative @ lost / (relative @ relative)
    assert factor == pytest.approx(0.8325, abs=5e-5)
    for key, value in zip(COLUMNS, mean / factor, strict=True):
        expected = 1 - value / 100 if key[1] == "dice" else value
        assert TABLE_2_REFERENCE[key] == pytest.approx(expected, abs=0.05 if key[1] == "arvd_percent" else 0.006)

    held = TABLE_2[:, :12].copy()
    held[:, 9:] = mean[9:]
    held[:, :3] /= 100
    scores = [promise12_score(rows_of(dict(zip(COLUMNS, row, strict=True)))) for row in held]
    assert np.abs(np.array(scores) - TABLE_2[:, 12]).max() < 0.75
