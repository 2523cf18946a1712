"""The calibrate command on synthetic cases, untrained networks, and on evidence made by hand."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from dam_components import cli
from dam_components.commands.calibration import calibrate
from dam_components.confidence.case_evidence import CALIBRATED, CaseEvidence
from dam_components.data import HARD_KINDS, HardCased
from dam_components.errors import plain_message
from dam_components.metrics import DiceCalibration
from dam_components.networks import EnhancedUNet, LocalCalibrationNet, file_digests
from dam_components.synthetic import write_pelvic_dataset

BUNDLE = Path(__file__).parents[2] / "bundle"
CHANNELS = [4, 4, 4, 4]
KINDS = ("noise", "inversion")
STRIDES = [[2, 2, 1], 2, 2]
command = sys.modules[calibrate.__module__]


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    """6 synthetic cases of which 3 are validation, an untrained S that calls every class, and D."""
    folder = tmp_path_factory.mktemp("calibrate")
    torch.manual_seed(0)
    torch.save(EnhancedUNet(3, 1, 4, channels=CHANNELS, strides=STRIDES).state_dict(), folder / "model.pt")
    halves = {"channels": [c // 2 for c in CHANNELS[1:]], "strides": STRIDES}
    torch.save(LocalCalibrationNet(3, 5, 4, **halves).state_dict(), folder / "model_confidence.pt")
    folds = {"fold": 0, "folds": 3, "validation": 3, "seed": 0}
    return {
        "bundle": str(BUNDLE),
        "overlay": str(BUNDLE / "configs" / "tasks" / "pelvic.json"),
        "data": str(write_pelvic_dataset(folder / "data", cases=6, shape=(32, 32, 16))),
        "weights": str(folder / "model.pt"),
        "confidence_weights": str(folder / "model_confidence.pt"),
        "overrides": {"channels": CHANNELS, "spacing": [5.0, 5.0, 6.0], "patch_size": [32, 32, 16], "folds": folds},
    }


@pytest.fixture
def gathered(monkeypatch):
    """What the command gathers of each copy, by case and kind; all classes count as called."""
    found = []
    gather = command.gather_case

    def spy(*arguments, **options):
        found.append(gather(*arguments, **options))
        found[-1].predicted_classes[:] = True
        return found[-1]

    monkeypatch.setattr(command, "gather_case", spy)
    # two kinds are enough to tell options apart
    monkeypatch.setattr(command, "HARD_KINDS", {kind: HARD_KINDS[kind] for kind in KINDS})
    return found


def test_it_asks_whether_the_networks_know_these_cases(setup, gathered, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(command, "warn_of_known_cases", lambda cases, weights: asked.append((len(cases), weights)))
    calibrate(**setup, output=str(tmp_path / "c.json"), level=0.6)
    assert asked == [(3, setup["weights"])]


def test_command_fits_saves_and_prints(setup, gathered, monkeypatch, capsys):
    made = []

    def remember(keys, kind, severity, seed):
        made.append((kind, severity))
        return HardCased(keys, kind, severity, seed)

    monkeypatch.setattr(command, "HardCased", remember)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    options = {name: json.dumps(v) if isinstance(v, dict) else v for name, v in setup.items()}
    cli.main(["calibrate", *(f"--{name}={value}" for name, value in options.items()), "--level", "0.8"])
    target = Path(setup["confidence_weights"]).with_name("calibration.json")
    calibration = DiceCalibration.load(target, 3)
    assert calibration.networks == tuple(file_digests([setup["weights"], setup["confidence_weights"]]))
    assert calibration.label_names == {"1": "bladder", "2": "prostate", "3": "rectum"}
    target.unlink()
    copies = 1 + len(KINDS)
    assert [entry.pairs for entry in calibration.classes] == [3 * (1 + 2)] * 3
    assert all(entry.ends is not None for entry in calibration.classes)
    assert calibration.training.cases == 1  # of 6, 3 are for validation and 2 for testing
    assert set(calibration.training.volume_ml) == {"1", "2", "3"}
    assert (calibration.training.orientations, calibration.training.spacing_mm) == (["RAS"], [5, 6])
    assert calibration.level == 0.8
    assert [case.kind for case in gathered[:copies]] == ["clean", *KINDS]
    assert made == [
        ("noise", 0.5),
        ("inversion", 1.0),
        ("noise", 1.0),
        ("inversion", 0.5),
        ("noise", 0.5),
        ("inversion", 1.0),
    ]
    shown = capsys.readouterr().out
    assert "3 cases of section validation and 2 hard copies of each, calibrated by other cases and kinds:\n" in shown
    number = r"0\.\d{3}"
    for group in ("clean", "clean and hard"):
        line = (
            rf"^{group} cases: predicted Dice is off by {number}, a constant by {number}; intervals for 80% hold \d+%$"
        )
        assert re.search(line, shown, re.MULTILINE), shown
    assert f"wrote {target}" in shown
    assert "copies of 3 cases do not make up for the 4 cases that 80% needs" in shown


def test_output_section_fold_severity_and_seed_are_obeyed(setup, gathered, tmp_path):
    def cases(**options):
        gathered.clear()
        calibrate(**{**setup, "output": str(tmp_path / "c.json"), "level": 0.6, "severity": "0.7"} | options)
        assert (tmp_path / "c.json").is_file()
        return {case.case for case in gathered}, [case.predicted_dice["D"].tolist() for case in gathered]

    overrides = setup["overrides"] | {"folds": {"fold": 0, "folds": 2, "validation": 0, "seed": 0}}
    first, dice = cases(section="test", overrides=overrides)
    assert len(first) == 3
    assert len(dice) == 3 * (1 + len(KINDS))
    assert not first & cases(section="test", overrides=overrides, fold=1)[0]
    assert cases(section="test", overrides=overrides, severity="0.8")[1] != dice
    assert cases(section="test", overrides=overrides, seed=1)[1] != dice
    assert cases(section="test", overrides=overrides)[1] == dice


def test_the_test_cases_of_several_folds_are_pooled_each_by_its_own_s(setup, gathered, tmp_path):
    """As ``train --folds all`` has them: the file is for the networks of the bundle's inference."""
    bundle = tmp_path / "bundle"
    shutil.copytree(BUNDLE / "configs", bundle / "configs")
    for fold in (0, 1):
        (bundle / "models" / f"fold{fold}").mkdir(parents=True)
        torch.manual_seed(fold)
        S = EnhancedUNet(3, 1, 4, channels=CHANNELS, strides=STRIDES)
        torch.save(S.state_dict(), bundle / "models" / f"fold{fold}" / "model.pt")
    every, D = bundle / "models" / "model.pt", bundle / "models" / "model_confidence.pt"
    torch.save(EnhancedUNet(3, 1, 4, channels=CHANNELS, strides=STRIDES).state_dict(), every)
    shutil.copy(setup["confidence_weights"], D)
    overrides = setup["overrides"] | {"folds": {"fold": 0, "folds": 2, "validation": 0, "seed": 0}}
    options = {**setup, "bundle": str(bundle), "level": 0.6, "section": "test", "overrides": overrides}
    options |= {"confidence_weights": None, "weights": str(bundle / "models" / "fold{fold}" / "model.pt")}
    calibrate(**options, fold="0,1")
    pooled = [(case.case, case.predicted_dice["D"].tolist()) for case in gathered if case.kind == "clean"]
    calibration = DiceCalibration.load(D.with_name("calibration.json"), 3)
    assert calibration.networks == tuple(file_digests([every, D]))
    assert calibration.training.cases == len(pooled) == len(dict(pooled)) == 6
    for fold in (0, 1):
        gathered.clear()
        weights = str(bundle / "models" / f"fold{fold}" / "model.pt")
        calibrate(**options | {"weights": weights, "output": str(tmp_path / "c.json")}, fold=fold)
        alone = [(case.case, case.predicted_dice["D"].tolist()) for case in gathered if case.kind == "clean"]
        assert alone == pooled[3 * fold : 3 * fold + 3]
    gathered.clear()
    (bundle / "models" / "fold1" / "model.pt").unlink()
    with pytest.raises(RuntimeError) as error:  # MONAI's, around the bundle's own
        calibrate(**options, fold="0,1")
    assert re.search(r"no weights at .*fold1", plain_message(error.value))
    assert not gathered  # fold 0 was not run in vain


def evidence(cases: int, copies: int = 6) -> list[CaseEvidence]:
    """Two classes whose true Dice is a known map of the raw one; each case has an error of its own."""
    random = np.random.default_rng(0)
    found = []
    for owner in range(cases):
        shift = 0.02 * random.standard_normal()
        for _ in range(copies):
            raw = random.uniform(0.4, 0.95, 2)
            true = (expit(-0.5 + 1.2 * logit(raw)) + shift).clip(0, 1)
            found.append(
                CaseEvidence(
                    f"c{owner}",
                    "clean",
                    true_dice=true,
                    predicted_dice={"D": raw},
                    predicted_classes=np.array([1, 1]) > 0,
                )
            )
    return found


def test_a_class_called_nowhere_is_left_out_of_the_fit():
    cases = evidence(6)
    plain = command.fit_cases(cases, 0.8)
    for case in cases[:4]:
        case.predicted_classes[1] = False
        case.predicted_dice["D"][1] = 1.0  # it would bend the map
    fitted = command.fit_cases(cases, 0.8)
    assert fitted.classes[0] == plain.classes[0]
    assert [entry.pairs for entry in fitted.classes] == [36, 32]
    assert fitted.classes[1]([0.7, 0.95]) == pytest.approx(plain.classes[1]([0.7, 0.95]), abs=0.06)


def test_no_image_is_judged_by_a_calibration_that_saw_its_case_or_its_kind(monkeypatch):
    fit, learnt = command.fit_cases, []
    monkeypatch.setattr(command, "fit_cases", lambda cases, level: learnt.append(cases) or fit(cases, level))
    judged = []
    monkeypatch.setattr(command, "calibrate_case", lambda case, _: judged.append((case, learnt[-1])))
    cases = evidence(7)
    for number, case in enumerate(cases):
        case.kind = ("clean", "noise", "blur")[number % 3]
    command.cross_calibrate(cases, 0.8)
    assert sorted(case.case for case, _ in judged) == sorted(case.case for case in cases)
    assert all(case.case not in {other.case for other in seen} for case, seen in judged)
    kinds = {case.kind: {other.kind for other in seen} for case, seen in judged}
    assert kinds == {"clean": {"clean", "noise", "blur"}, "noise": {"clean", "blur"}, "blur": {"clean", "noise"}}
    assert len(learnt) == 5 * 3


def test_images_of_one_patient_calibrate_each_other_no_more_than_copies_do(monkeypatch):
    fit, learnt, groups = DiceCalibration.fit, [], []
    monkeypatch.setattr(command, "calibrate_case", lambda case, _: learnt.append(case))
    monkeypatch.setattr(
        command.DiceCalibration,
        "fit",
        lambda raw, true, level, owners, kinds: groups.append({*owners}) or fit(raw, true, level, owners, kinds),
    )
    cases = evidence(8)
    for case in cases:
        case.patient = f"p{int(case.case[1:]) // 2}"
    command.cross_calibrate(cases, 0.8)
    assert len(learnt) == len(cases)
    assert [len(seen) for seen in groups] == [3] * 4
    assert set.union(*groups) == {"p0", "p1", "p2", "p3"}


def test_cross_fitted_dice_is_right_and_its_intervals_hold_what_they_should():
    cases = evidence(40)
    command.cross_calibrate(cases, 0.8)
    error = np.array([abs(case.predicted_dice[CALIBRATED] - case.true_dice) for case in cases])
    raw = np.array([abs(case.predicted_dice["D"] - case.true_dice) for case in cases])
    assert error.mean() < 0.025 < 0.05 < raw.mean()
    inside = [(case.interval[0] <= case.true_dice) & (case.true_dice <= case.interval[1]) for case in cases]
    assert 0.7 < np.mean(inside) < 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "at least 3 cases, got 0"),
        ({"severity": "hard"}, "severity must be positive numbers separated by commas, got 'hard'"),
        ({"fold": "all"}, "fold must be whole numbers separated by commas, got 'all'"),
        ({"severity": "0"}, "severity must be positive"),
        ({"level": 1.0}, "level must be between 0 and 1, got 1.0"),
        ({"limit": 2}, "calibration needs at least 3 cases, got 2 of section validation: raise --limit"),
    ],
)
def test_bad_options_are_named(setup, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        calibrate(**setup | {"output": str(tmp_path / "c.json")} | options)
    assert not list(tmp_path.iterdir())


def test_cases_of_two_patients_are_too_few(setup, tmp_path):
    data = shutil.copytree(setup["data"], tmp_path / "data")
    index = json.loads((data / "dataset.json").read_text())
    for number, entry in enumerate(index["training"]):
        entry["patient"] = f"p{number % 2}"
    (data / "dataset.json").write_text(json.dumps(index))
    folds = {"fold": 0, "folds": 1, "validation": 0, "seed": 0}
    options = {**setup, "data": str(data), "overrides": {**setup["overrides"], "folds": folds}}
    with pytest.raises(ValueError, match="calibration needs cases of 3 patients, got 2"):
        calibrate(**options, section="train", output=str(tmp_path / "c.json"))
