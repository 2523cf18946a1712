"""The number of a case: tables by hand, and the command on synthetic cases and on a committed file."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dam_components.commands.calibration import calibrate
from dam_components.data import HARD_KINDS
from dam_components.networks import EnhancedUNet, LocalCalibrationNet
from dam_components.synthetic import write_pelvic_dataset
from dam_study.cli import main
from dam_study.commands.case_number import case_number
from dam_study.confidence.case_tables import calibrated_images, case_aurc, flag_table, kind_table, rival_table

ROOT = Path(__file__).parents[2]
REASONS = ("absent", "border", "pieces", "volume", "image")


def made_rows(cases=24, kinds=("clean", "a", "b", "c"), seed=0) -> pd.DataFrame:
    """Rows whose D knows the true Dice but for a bend, and whose softmax knows nothing."""
    random = np.random.default_rng(seed)
    found = []
    for section in ("validation", "test"):
        for case in range(cases):
            for kind in kinds:
                true = float(random.uniform(0.8, 0.95) if kind == "clean" else random.uniform(0.1, 0.9))
                found.append(
                    {"section": section, "case": f"{section}{case}", "kind": kind, "severity": 1.0, "class": "gland"}
                    | {"true_dice": true, "predicted_dice_D": true**0.5, "predicted_dice_softmax": random.uniform()}
                    | dict.fromkeys(REASONS, False)
                )
    return pd.DataFrame(found)


def test_aurc_by_hand():
    true = np.array([1.0, 0.5, 0.0])
    # kept 1, 2, 3 images: risks 0, 0.25, 0.5, and the other way round 1, 0.75, 0.5
    assert case_aurc(true, true) == pytest.approx(100 * 0.75 / 3)
    assert case_aurc(-true, true) == pytest.approx(100 * 2.25 / 3)


def test_every_score_is_calibrated_alike_and_what_knows_nothing_stays_at_chance():
    table = rival_table(calibrated_images(made_rows()), resamples=50).set_index("score")
    assert table.loc["D, raw", "error, spoilt"] > 0.15 > 0.06 > table.loc["D, calibrated", "error, spoilt"]
    assert table.loc["softmax, calibrated", "error, spoilt"] < table.loc["softmax, raw", "error, spoilt"]
    assert table.loc["D, raw", "AURC"] == pytest.approx(table.loc["best possible", "AURC"])
    assert table.loc["softmax, raw", "AURC"] == pytest.approx(table.loc["random", "AURC"], abs=6)
    low, high = table.loc["softmax, calibrated", "D, calibrated, minus it"].split("[")[1].rstrip("]").split(", ")
    assert float(low) <= float(high) < 0


def test_a_kind_that_is_judged_took_no_part():
    rows = made_rows()
    rows.loc[rows["kind"] == "a", "true_dice"] = 0.0  # no other kind is like that
    table = kind_table(calibrated_images(rows)).set_index("kind")
    assert table.loc["a", "error, D"] > 2 * table.loc["b", "error, D"]
    assert [*table.index][-2:] == ["mean of the spoilt kinds", "worst of the spoilt kinds"]
    assert table.loc["worst of the spoilt kinds", "coverage"] == table.loc[["a", "b", "c"], "coverage"].min()


def test_without_sections_a_case_does_not_calibrate_itself():
    rows = made_rows().drop(columns="section")
    rows.loc[rows["case"] == "test0", "true_dice"] = 0.0
    judged = calibrated_images(rows)
    assert len(judged) == len(rows)
    alone = calibrated_images(rows[rows["case"] != "test0"])
    worse = judged[judged["case"] == "test0"]["calibrated_D"]
    assert (worse > 0).all()
    assert alone["calibrated_D"].mean() == pytest.approx(
        judged[judged["case"] != "test0"]["calibrated_D"].mean(), abs=0.05
    )


def test_flags_count_each_reason_and_all_together():
    rows = made_rows()
    rows.loc[rows["kind"] == "b", "pieces"] = True
    table = flag_table(calibrated_images(rows)).set_index("reason")
    clean, failed, _ = table.columns
    assert table.loc["pieces", clean] == 0 < table.loc["pieces", failed] < 1
    assert table.loc["dice", failed] > 0.9
    assert table.loc["any of them", failed] >= table[failed].max()


def test_the_command_gathers_judges_and_reads_its_own_file(tmp_path, monkeypatch, capsys):
    kinds = {kind: HARD_KINDS[kind] for kind in ("noise", "turn")}
    monkeypatch.setattr("dam_study.confidence.case_images.HARD_KINDS", kinds)
    monkeypatch.setattr("dam_components.commands.calibration.HARD_KINDS", kinds)
    torch.manual_seed(0)
    channels, strides = [4, 4, 4, 4], [[2, 2, 1], 2, 2]
    torch.save(EnhancedUNet(3, 1, 4, channels=channels, strides=strides).state_dict(), tmp_path / "model.pt")
    network = LocalCalibrationNet(3, 5, 4, channels=[2, 2, 2], strides=strides)
    torch.save(network.state_dict(), tmp_path / "model_confidence.pt")
    folds = {"fold": 0, "folds": 3, "validation": 3, "seed": 0}
    options = {
        "bundle": str(ROOT / "bundle"),
        "overlay": str(ROOT / "bundle" / "configs" / "tasks" / "pelvic.json"),
        "data": str(write_pelvic_dataset(tmp_path / "data", cases=7, shape=(32, 32, 16))),
        "weights": str(tmp_path / "model.pt"),
        "confidence_weights": str(tmp_path / "model_confidence.pt"),
        "overrides": {"channels": channels, "spacing": [5.0, 5.0, 6.0], "patch_size": [32, 32, 16], "folds": folds},
    }
    calibrate(**options, level=0.6, severity=1.0)
    output = str(tmp_path / "out")
    monkeypatch.setattr("dam_study.confidence.case_tables.DiceCalibration", Lenient)
    asked = []
    name = "dam_study.confidence.case_images.warn_of_known_cases"
    monkeypatch.setattr(name, lambda cases, weights: asked.append((len(cases), weights)))
    case_number(**options, output=output, ensemble=str(tmp_path / "model.pt"), severity=1.0, resamples=20)
    assert asked == [(3, options["weights"])] * 2  # of those that calibrate, and of those that judge
    rows = pd.read_csv(tmp_path / "out" / "images.csv")
    assert rows.groupby("section")["case"].nunique().to_dict() == {"test": 3, "validation": 3}
    assert set(rows["kind"]) == {"clean", *kinds}
    assert len(rows) == 6 * 3 * 3  # cases, kinds, structures
    assert (rows["predicted_dice_ensemble agrees"] == 1).all()  # of a network with itself
    assert rows["predicted_dice_flips agree"].between(0, 1).all()
    assert rows.loc[rows["absent"], "true_dice"].isin([0, 1]).all()
    first = (tmp_path / "out" / "case_number.md").read_text()
    assert "## Reasons to review" in first
    case_number(images=str(tmp_path / "out" / "images.csv"), output=output, resamples=20)
    again = (tmp_path / "out" / "case_number.md").read_text()
    assert first.split("## Scores")[1] == again.split("## Scores")[1]
    capsys.readouterr()


class Lenient:
    """A calibration of few pairs at a low level."""

    @staticmethod
    def fit(raw, true, level, groups, kinds):
        from dam_components.metrics import DiceCalibration

        return DiceCalibration.fit(raw, true, 0.5, groups, kinds)


def test_the_committed_page_of_promise12_is_rebuilt_byte_for_byte(tmp_path, capsys):
    results = ROOT / "docs" / "results"
    command = (results / "promise12_confidence" / "case_number.md").read_text().split("```")[1]
    assert "--images docs/results/promise12_confidence/cases.csv" in command
    main(["case_number", "--images", str(results / "promise12_confidence" / "cases.csv"), "--output", str(tmp_path)])
    made = (tmp_path / "case_number.md").read_text().split("- data:")[1]
    assert made == (results / "promise12_confidence" / "case_number.md").read_text().split("- data:")[1]
    capsys.readouterr()


def test_another_file_is_refused(tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("case,kind\na,clean\n")
    with pytest.raises(ValueError, match="has no column class: name an images.csv or cases.csv"):
        case_number(images=str(file), output=str(tmp_path))
    assert json.dumps([path.name for path in tmp_path.iterdir()]) == '["x.csv"]'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": 0}, "resamples must be at least 1, got 0"),
        ({"severity": "hard"}, "severity must be positive numbers separated by commas, got 'hard'"),
        ({"flip_axes": "x"}, "flip_axes must be whole numbers separated by commas, got 'x'"),
    ],
)
def test_bad_options_are_named_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        case_number(output=str(tmp_path / "out"), **options)
    assert not (tmp_path / "out").exists()
