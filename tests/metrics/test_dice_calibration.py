import json
import math

import numpy as np
import pytest
from scipy.special import expit, logit

from dam_components.metrics import ClassCalibration, DiceCalibration, conformal_quantile, fit_dice_map


def simulate(count: int, seed: int, slope: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Raw Dice and a true Dice that follows a known map, with more noise where the Dice is low."""
    random = np.random.default_rng(seed)
    raw = random.uniform(0.3, 0.97, (count, 2))
    expected = mapped(raw, 0.4, slope)
    return raw, (expected + (0.01 + 0.2 * (1 - expected)) * random.standard_normal((count, 2))).clip(0, 1)


def mapped(raw, offset, slope):
    """A smooth map that rises."""
    return expit(offset + slope * logit(raw))


def test_the_map_by_hand():
    # 0.4, 0.2 fall: both become one step, with a knot at their mean
    knots = fit_dice_map([0.9, 0.2, 0.5, 0.6], [0.8, 0.1, 0.4, 0.2])
    assert knots == ([0, 0.2, pytest.approx(0.55), 0.9, 1], [0, 0.1, pytest.approx(0.3), 0.8, 1])
    entry = ClassCalibration(*knots, 0.0, 0.0, 4)
    assert entry([0.1, 0.2, 0.375, 0.55, 0.725, 0.95]).tolist() == pytest.approx([0.05, 0.1, 0.2, 0.3, 0.55, 0.9])
    assert math.isnan(entry(math.nan))


def test_recovers_a_known_map():
    raw = np.linspace(0.05, 0.98, 80)
    assert np.interp(raw, *fit_dice_map(raw, mapped(raw, -0.5, 1.7))) == pytest.approx(mapped(raw, -0.5, 1.7))
    raw, true = simulate(400, 0)
    found = np.interp([0.4, 0.6, 0.8], *fit_dice_map(raw[:, 0], true[:, 0]))
    assert found == pytest.approx(mapped([0.4, 0.6, 0.8], 0.4, 0.6), abs=0.05)


def test_a_map_never_falls_even_if_the_pairs_do():
    raw = np.linspace(0.5, 0.9, 50)
    assert fit_dice_map(raw, 1.4 - raw) == ([0, pytest.approx(0.7), 1], [0, pytest.approx(0.7), 1])


@pytest.mark.parametrize(("raw", "true"), [([1, 1], [1, 0.9]), ([0, 0.3], [0, 0]), ([0.5, 0.5], [0.2, 0.4])])
def test_a_map_rises_strictly_even_at_the_ends(raw, true):
    knots, dice = fit_dice_map(raw, true)
    assert (np.diff(knots) > 0).all()
    assert (np.diff(dice) > 0).all()


@pytest.mark.parametrize("knots", [([], []), ([0.2, 0.2], [0.1, 0.3]), ([0.2, 0.4], [0.3, 0.1]), ([0.2, 0.4], [0.3])])
def test_knots_that_do_not_rise_are_refused(knots):
    with pytest.raises(ValueError, match="the knots of a map from raw to calibrated Dice must rise"):
        ClassCalibration(*knots, 0.0, 0.0, 1)


def test_quantile_has_the_correction_for_few_pairs():
    # ceil(20 * 0.9) = 18th, ceil(10 * 0.9) = 9th of 9, ceil(11 * 0.5) = 6th
    assert conformal_quantile(range(1, 20), 0.9) == 18
    assert conformal_quantile(range(1, 10), 0.9) == 9
    assert conformal_quantile(range(1, 11), 0.5) == 6
    with pytest.raises(ValueError, match=r"level 0.9 needs at least 9 pairs of raw and true Dice, got 8"):
        conformal_quantile(range(8), 0.9)
    with pytest.raises(ValueError, match=r"level must be between 0 and 1, got 1.0"):
        conformal_quantile(range(8), 1.0)


@pytest.mark.parametrize("level", [0.7, 0.9])
def test_coverage_is_the_level(level):
    covered = []
    for seed in range(20):
        raw, true = simulate(500, 1000 + seed)
        dice, low, high = DiceCalibration.fit(*simulate(120, seed), level)(raw)
        assert ((low <= dice) & (dice <= high) & (low >= 0) & (high <= 1)).all()
        covered.append(((low <= true) & (true <= high)).mean(0))
    assert np.mean(covered) == pytest.approx(level, abs=0.02)


def test_the_interval_widens_as_the_dice_falls():
    calibration = DiceCalibration.fit(*simulate(200, 3))
    _, low, high = calibration([[0.95, 0.95], [0.5, 0.5]])
    assert (high[1] - low[1] > 1.5 * (high[0] - low[0])).all()


def test_classes_have_maps_of_their_own():
    raw, true = simulate(100, 4)
    true[:, 1] = raw[:, 1]
    dice, low, high = DiceCalibration.fit(raw, true)([0.5, 0.5])
    assert dice[1] == pytest.approx(0.5, abs=1e-3)
    assert high[1] - low[1] < 0.005
    assert dice[0] == pytest.approx(mapped(0.5, 0.4, 0.6), abs=0.06)


def test_nan_leaves_a_pair_out():
    raw, true = simulate(60, 5)
    gone = raw.copy(), true.copy()
    gone[0][10:20, 0] = np.nan
    gone[1][20:30, 0] = np.nan
    one, two = DiceCalibration.fit(*gone), DiceCalibration.fit(raw, true)
    kept = np.r_[0:10, 30:60]
    assert one.classes[0] == DiceCalibration.fit(raw[kept], true[kept]).classes[0]
    assert one.classes[0].pairs == 40
    assert one.classes[1] == two.classes[1]


@pytest.mark.parametrize(("patients", "held"), [(20, 0.9), (3, 0.72)])
def test_copies_do_not_make_up_for_patients(patients, held):
    def draw(count, copies, seed):
        random = np.random.default_rng(seed)
        raw = random.uniform(0.6, 0.9, (count * copies, 1))
        of_patient = np.repeat(0.04 * random.standard_normal(count), copies)[:, None]
        return raw, (raw + of_patient + 0.005 * random.standard_normal(raw.shape)).clip(0, 1)

    covered = []
    for seed in range(40):
        calibration = DiceCalibration.fit(*draw(patients, 24, seed), groups=np.repeat(np.arange(patients), 24))
        raw, truth = draw(300, 1, 100 + seed)  # new patients
        _, low, high = calibration(raw)
        covered.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(covered) == pytest.approx(held, abs=0.05)


def test_groups_stay_together():
    # the folds, and so the interval, are others than for rows on their own
    raw, true = simulate(60, 6)
    patients = np.repeat(np.arange(10), 6)
    grouped = DiceCalibration.fit(raw, true, groups=patients)
    assert grouped.classes[0].dice == DiceCalibration.fit(raw, true).classes[0].dice
    assert grouped.classes[0].spread_base != DiceCalibration.fit(raw, true).classes[0].spread_base
    # the names of groups, and the order of patients' rows, mean nothing else
    assert grouped == DiceCalibration.fit(raw, true, groups=[f"p{patient}" for patient in patients])
    with pytest.raises(ValueError, match=r"class 1: the pairs must come from at least 2 groups, got 1"):
        DiceCalibration.fit(raw, true, groups=[0] * 60)


def test_identity_has_no_interval():
    dice, low, high = DiceCalibration.identity(3)([0.0, 0.4, 1.0])
    assert dice.tolist() == [0, 0.4, 1]
    assert np.isnan([low, high]).all()


def test_json_roundtrip(tmp_path):
    for calibration in (DiceCalibration.fit(*simulate(50, 7), level=0.8), DiceCalibration.identity(2)):
        file = tmp_path / "new" / "calibration.json"
        calibration.save(file)
        assert DiceCalibration.load(file, 2) == calibration
        assert [f.name for f in file.parent.iterdir()] == ["calibration.json"]
    assert set(json.loads(file.read_text())) == {"level", "classes", "networks", "label_names", "training", "checksum"}


FALLING = """{"level": 0.9, "classes": [
    {"raw": [0.1, 0.5], "dice": [0.5, 0.1], "spread_base": 0.1, "spread_slope": 0.1, "pairs": 9}]}"""


def test_reading_says_what_is_wrong(tmp_path):
    file = tmp_path / "calibration.json"
    with pytest.raises(FileNotFoundError, match=r"there is no calibration .*calibration.json: save what"):
        DiceCalibration.load(file, 2)
    DiceCalibration.identity(3).save(file)
    with pytest.raises(ValueError, match=r"calibration.json was fitted for 3 foreground classes, this .* has 2"):
        DiceCalibration.load(file, 2)
    for text in ("{", "[]", '{"level": 0.9}', '{"level": 0.9, "classes": [{"offset": 1}]}', FALLING):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"calibration.json is no Dice calibration"):
            DiceCalibration.load(file, 2)


@pytest.mark.parametrize(
    ("raw", "true", "options", "message"),
    [
        (np.ones(9), np.ones(9), {}, r"must both be \(N, foreground classes\), got \(9,\) and \(9,\)"),
        (np.ones((9, 2)), np.ones((9, 1)), {}, r"got \(9, 2\) and \(9, 1\)"),
        (np.full((9, 1), 1.2), np.ones((9, 1)), {}, r"raw must be Dice in 0..1"),
        (np.ones((9, 1)), np.full((9, 1), -0.1), {}, r"true must be Dice in 0..1"),
        (np.ones((8, 1)), np.ones((8, 1)), {}, r"class 1: an interval of level 0.9 needs at least 9 pairs .* got 8"),
        (np.ones((9, 1)), np.ones((9, 1)), {"groups": [1, 2]}, r"one value for each of the 9 rows, got 2"),
    ],
)
def test_bad_pairs(raw, true, options, message):
    with pytest.raises(ValueError, match=message):
        DiceCalibration.fit(raw, true, **options)


def test_other_number_of_classes():
    with pytest.raises(ValueError, match=r"raw must end in 2 foreground classes, got shape \(3,\)"):
        DiceCalibration.identity(2)([0.1, 0.2, 0.3])
