import json
import os
import re
import shutil

import pandas as pd
import pytest
import torch
from monai.inferers import SimpleInferer

from dam_components.confidence.doubt_scores import Segmenter
from dam_components.confidence.trained_bundle import named_entries, read_bundle
from dam_components.data import HARD_KINDS
from dam_components.metrics import ClassCalibration, DiceCalibration, fit_temperature
from dam_components.networks import EnhancedUNet, LocalCalibrationNet
from dam_components.synthetic import write_pelvic_dataset
from dam_study.commands.confidence_study import confidence
from dam_study.confidence.fold_study import case_shared_errors, sample_voxels
from dam_study.confidence.rival_scores import ALL_SCORES
from dam_study.confidence.study_facts import shared_words, shell_command

BUNDLE = os.path.join(os.path.dirname(__file__), "..", "..", "bundle")
OVERLAY = os.path.join(BUNDLE, "configs", "tasks", "pelvic.json")
CHANNELS = [4, 4, 4, 4]
FOLDS = {"fold": 0, "folds": 3, "validation": 1, "seed": 0}
STRIDES = [[2, 2, 1], 2, 2]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """What the command needs: 6 synthetic cases, untrained S, a surer D, a second S, in a bundle's pelvic task."""
    folder = tmp_path_factory.mktemp("study")
    torch.manual_seed(0)
    widths = {"channels": CHANNELS, "strides": STRIDES}
    for name in ("model", "other"):
        torch.save(EnhancedUNet(3, 1, 4, **widths).state_dict(), folder / f"{name}.pt")
    halves = {"channels": [c // 2 for c in CHANNELS[1:]], "strides": STRIDES}
    D = LocalCalibrationNet(3, 5, 4, **halves)
    D.head.conv.bias.data[0] = 0.5  # it has learnt to be surer than it was
    torch.save(D.state_dict(), folder / "model_confidence.pt")
    return {
        "bundle": BUNDLE,
        "overlay": OVERLAY,
        "data": str(write_pelvic_dataset(folder / "data", cases=6, shape=(32, 32, 16))),
        "weights": str(folder / "model.pt"),
        "confidence_weights": str(folder / "model_confidence.pt"),
        "overrides": {"channels": CHANNELS, "spacing": [5.0, 5.0, 6.0], "patch_size": [32, 32, 16], "folds": FOLDS},
        "resamples": 10,
        "band_mm": 6.0,
    }


def test_errors_that_networks_share():
    bias = [torch.nn.Conv3d(1, 2, 1) for _ in range(2)]
    for network, favoured in zip(bias, (0, 1), strict=True):  # calls one class everywhere
        torch.nn.init.zeros_(network.weight)
        network.bias.data = torch.eye(2)[favoured]
    label = torch.zeros(1, 2, 2, 2)
    label[0, 0] = 1  # half of the volume, which S, calling 0, gets wrong
    item = {"image": torch.rand(1, 2, 2, 2), "label": label}
    segmenter = Segmenter(bias[0], SimpleInferer())
    assert case_shared_errors(item, segmenter, [bias[0]], "cpu") == (4, 4)
    assert case_shared_errors(item, segmenter, bias, "cpu") == (4, 0)
    assert shared_words([(4, 4), (4, 2)]).startswith("75.0% of S's 8 wrong voxels")
    assert shared_words([(0, 0)]).startswith("0.0% of S's 0")


def test_command_writes_its_files(study, tmp_path, capsys, monkeypatch):
    kinds = {kind: HARD_KINDS[kind] for kind in ("noise", "shifted_crop")}
    monkeypatch.setattr("dam_study.commands.confidence_study.HARD_KINDS", kinds)
    other = os.path.join(os.path.dirname(study["weights"]), "other.pt")
    confidence(**study, output=str(tmp_path), hard="true", ensemble=other)
    assert sorted(os.listdir(tmp_path)) == [
        "agreement.csv",
        "cases.csv",
        "confidence.csv",
        "confidence.md",
        "confidence.png",
    ]
    page = (tmp_path / "confidence.md").read_text()
    assert "wrong voxels are predicted the same by every network of the ensemble" in page
    table = pd.read_csv(tmp_path / "confidence.csv")
    assert [*zip(table["region"], table["score"], strict=True)] == [
        (r, s) for r in ("band", "volume") for s in ALL_SCORES
    ]
    for measure in ("auroc", "aupr", "aurc", "ece"):
        for part in (measure, f"{measure}_difference"):
            assert {part, f"{part}_low", f"{part}_high"} <= {*table.columns}
    assert table.set_index("score").loc["mc_dropout", "relative_time"].min() > 2
    assert (table["auroc"].between(0, 1)).all()

    rows = pd.read_csv(tmp_path / "cases.csv")
    scores = ["predicted_dice_D", "predicted_dice_softmax", "predicted_dice_temperature", "predicted_dice_untrained"]
    assert [*rows.columns] == ["case", "kind", "class", "true_dice", *scores]
    assert len(rows) == 2 * (1 + len(kinds)) * 4  # two test cases, three classes and their mean
    assert (rows["predicted_dice_untrained"] < rows["predicted_dice_D"]).all()
    case = rows[(rows["case"] == rows["case"][0]) & (rows["kind"] == "noise")].set_index("class")["true_dice"]
    assert case["mean"] == pytest.approx(case[["bladder", "prostate", "rectum"]].mean())

    text = (tmp_path / "confidence.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    assert "--section test" in text
    assert "--weights" in text
    assert "fold 0, folds 3, validation 1, seed 0" in text
    assert "cores" in text


def test_rivals_section_fold_and_limit_are_obeyed(study, tmp_path):
    def names(**options):
        confidence(**{**study, "output": str(tmp_path), "rivals": "softmax"} | options)
        rows = pd.read_csv(tmp_path / "cases.csv")
        assert set(pd.read_csv(tmp_path / "confidence.csv")["score"]) == {"D", "softmax"}
        assert set(rows["kind"]) == {"clean"}
        return set(rows["case"])

    test = names()
    assert len(test) == 2
    assert names(limit=1) < test
    validation = names(section="validation")
    assert len(validation) == 1
    assert not validation & test
    assert not names(fold=1) & test


def test_folds_are_pooled_each_with_its_own_networks(study, tmp_path):
    def run(fold, S="{fold}", D="{fold}", **options):
        options = study | {"fold": fold, "rivals": "softmax,temperature", "output": str(tmp_path / "out")} | options
        confidence(**options | {"weights": f"{tmp_path}/S{S}.pt", "confidence_weights": f"{tmp_path}/{D}/D.pt"})
        return pd.read_csv(tmp_path / "out" / "cases.csv")

    for fold, source in ((0, "model.pt"), (1, "other.pt")):
        (tmp_path / str(fold)).mkdir()
        shutil.copy(os.path.join(os.path.dirname(study["weights"]), source), tmp_path / f"S{fold}.pt")
        shutil.copy(study["confidence_weights"], tmp_path / str(fold) / "D.pt")
    apart = pd.concat([run(fold) for fold in (0, 1)], ignore_index=True)
    both = run("0,1")
    assert both["case"].nunique() == 4
    pd.testing.assert_frame_equal(both, apart)
    page = (tmp_path / "out" / "confidence.md").read_text()
    assert "section test, 4 cases" in page
    assert "- folds: fold 0, 1, folds 3" in page
    assert "--fold 0,1" in page
    assert re.search(r"- temperature: [\d.]+, [\d.]+\n", page)
    # a network of another fold has learned from these cases
    with pytest.raises(ValueError, match=r"folds 0 and 1 have the same weights, .*S0.pt: .* apart by \{fold\}"):
        run("0,1", S="0")
    with pytest.raises(ValueError, match="folds 0 and 1 have the same confidence_weights"):
        run((0, 1), D="1")
    DiceCalibration(0.8, (ClassCalibration([0.5], [0.5], 1.0, 0.0, 20),) * 3).save(tmp_path / "1" / "calibration.json")
    with pytest.raises(ValueError, match="no .*0/calibration.json, and other folds have one: run calibrate for each"):
        run("0,1")
    shutil.copy(tmp_path / "1" / "calibration.json", tmp_path / "0")
    assert set(run("0,1").columns) >= {"predicted_dice_D, calibrated"}
    # other files of a fold are told apart in the same way
    run(
        "0,1",
        calibration=f"{tmp_path}/{{fold}}/calibration.json",
        ensemble=f"{tmp_path}/S{{fold}}.pt",
        rivals="ensemble",
    )
    assert "- errors: 100.0% of S's" in (tmp_path / "out" / "confidence.md").read_text()  # S itself repeats them all


def test_temperature_without_validation_cases_is_of_the_other_folds(study, tmp_path):
    files = {"weights": f"{tmp_path}/S{{fold}}.pt", "confidence_weights": f"{tmp_path}/D{{fold}}.pt"}
    for fold, source in ((0, "model.pt"), (1, "other.pt"), (2, "model.pt")):
        shutil.copy(os.path.join(os.path.dirname(study["weights"]), source), tmp_path / f"S{fold}.pt")
        shutil.copy(study["confidence_weights"], tmp_path / f"D{fold}.pt")
    overrides = study["overrides"] | {"folds": FOLDS | {"validation": 0}}

    def temperatures(fold):
        confidence(
            **study
            | files
            | {"fold": fold, "rivals": "temperature", "output": str(tmp_path / "out")}
            | {"overrides": overrides}
        )
        page = (tmp_path / "out" / "confidence.md").read_text()
        return re.search(r"- temperature: (.*)\n", page)[1].split(", ")

    first, second = temperatures("0,1")
    assert first != second
    # the first fold's is of the second one's S and cases, so a third fold changes it
    one, two, _ = temperatures("0,1,2")
    assert (one, two) != (first, second)
    assert temperatures("1,0") == [second, first]
    page = (tmp_path / "out" / "confidence.md").read_text()
    assert "fitted on cases that S did not learn from" in page


def test_it_asks_whether_the_networks_know_these_cases(study, tmp_path, monkeypatch):
    asked = []
    name = "dam_study.confidence.fold_study.warn_of_known_cases"
    monkeypatch.setattr(name, lambda cases, weights: asked.append((len(cases), weights)))
    confidence(**study, output=str(tmp_path), rivals="softmax")
    assert asked == [(2, study["weights"])]


def test_band_and_temperature_follow_their_options(study, tmp_path):
    def table(**options):
        confidence(**{**study, "output": str(tmp_path), "rivals": "temperature", "limit": 1} | options)
        return pd.read_csv(tmp_path / "confidence.csv").set_index(["region", "score"])

    wide, narrow = table(), table(band_mm=5.0)
    assert wide.loc[("band", "D"), "aurc"] != narrow.loc[("band", "D"), "aurc"]
    assert wide.loc[("volume", "D"), "aurc"] == narrow.loc[("volume", "D"), "aurc"]


def test_calibration_is_a_score_of_its_own_named_or_found_beside_the_weights(study, tmp_path):
    def rows(**options):
        confidence(**{**study, "output": str(tmp_path), "rivals": "softmax", "limit": 1} | options)
        table = pd.read_csv(tmp_path / "agreement.csv")
        return table[table["class"] == "mean"].set_index("score")

    assert "D, calibrated" not in rows().index
    half = DiceCalibration(0.8, (ClassCalibration([0.5], [0.5], 1.0, 0.0, 20),) * 3)  # 0.5, and 0 to 1 holds everything
    half.save(tmp_path / "named.json")
    found = rows(calibration=str(tmp_path / "named.json"), hard=True).query("cases == 'clean and hard'")
    assert found.loc["D, calibrated", "n"] == 1 + len(HARD_KINDS)
    assert found.loc["D, calibrated", "interval_coverage"] == 1
    assert found.loc["D, calibrated", "predicted_dice"] != found.loc["D", "predicted_dice"]
    assert "by named.json, with intervals that should hold 80%" in (tmp_path / "confidence.md").read_text()

    beside = os.path.join(os.path.dirname(study["confidence_weights"]), "calibration.json")
    half.save(beside)
    try:
        assert "D, calibrated" in rows().index
    finally:
        os.remove(beside)
    with pytest.raises(FileNotFoundError, match="there is no calibration .*absent.json"):
        rows(calibration=str(tmp_path / "absent.json"))


def test_temperature_of_cases_is_fitted_on_their_voxels():
    draw = torch.Generator().manual_seed(0)
    image = 4 * torch.randn(1, 30, 30, 30, generator=draw)
    labels = (torch.rand(image.shape, generator=draw) < (image / 2).sigmoid()).float()  # true at temperature 2

    def segment(x):
        return torch.cat([torch.zeros_like(x), x], dim=1)

    cases = iter([{"image": image, "label": labels}])
    assert fit_temperature(*sample_voxels(cases, segment)) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit must be at least 1 case, got 0"),
        ({"hard": "perhaps"}, "hard must be true or false, got 'perhaps'"),
        ({"rivals": "magic"}, "rivals must be of softmax, .*got 'magic'"),
        ({"rivals": "ensemble"}, "give --ensemble"),
        ({"overrides": {"chanels": [4]}}, "no entry of the configuration is called chanels"),
        (
            {"overrides": {"folds": FOLDS | {"validation": 0}}},
            "no case for temperature, fold 0: leave temperature out",
        ),
        ({"resamples": 0}, "resamples must be at least 1, got 0"),
        ({"flip_axes": "x"}, "flip_axes must be whole numbers separated by commas, got 'x'"),
        ({"severity": 0, "hard": True}, "severity must be positive"),
    ],
)
def test_bad_options_are_named(study, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        overrides = study["overrides"] | options.get("overrides", {})
        confidence(**study | {"output": str(tmp_path)} | options | {"overrides": overrides})
    assert not os.listdir(tmp_path)


def test_missing_bundle_and_overlay_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no configuration .*train.json: name the bundle.s folder"):
        read_bundle(tmp_path)
    with pytest.raises(FileNotFoundError, match="no configuration missing.json"):
        read_bundle(BUNDLE, ["missing.json"])


def test_overrides_are_read_and_left_as_they_were():
    folds = dict(FOLDS)
    parser = read_bundle(BUNDLE, folds=folds, **{"folds#fold": 2})
    assert parser["folds"]["fold"] == 2
    assert folds == FOLDS


def test_command_line_quotes_what_a_shell_would_split():
    line = shell_command("confidence", {"output": "my study", "limit": None, "overlay": (), "fold": 0})
    assert line == "python -m dam_study confidence --output 'my study' --fold 0"


def test_overrides_may_be_json_as_the_command_line_passes_it_on():
    given = {"amp": "true", "a": ["null", {"b": "false"}, "x", 1]}
    assert named_entries(None, None, None, None, given) == {"amp": True, "a": [None, {"b": False}, "x", 1]}
    line = shell_command("calibrate", {"overrides": {"amp": True}})
    assert json.loads(line.split("'")[1]) == {"amp": True}
