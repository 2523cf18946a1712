import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from torch import nn

from dam_components.confidence.case_evidence import (
    CALIBRATED,
    CaseEvidence,
    calibrate_case,
    gather_case,
    relative_times,
)
from dam_components.confidence.doubt_scores import Segmenter, make_scores
from dam_components.confidence.evidence_curves import draw_curves
from dam_components.confidence.evidence_table import (
    agreement_table,
    case_rows,
    markdown_table,
    score_table,
    show_scores,
)
from dam_components.metrics import ClassCalibration, DiceCalibration, ScoreHistogram
from dam_components.transforms import ConfidenceMapd
from dam_study.confidence.review_flags import flag_table

SHAPE = (12, 12, 12)


class ShiftedBall(nn.Module):
    """S: sees the label as its image and calls it one voxel too far along the last axis."""

    def forward(self, x):
        return torch.cat([torch.zeros_like(x), 8 * x.roll(1, -1) - 4], dim=1)


class Truth(nn.Module):
    """D: sees the label as its image, and knows."""

    def __init__(self, certain: float = 30.0) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 1, 1)  # tells ConfidenceMapd the dimensions
        self.certain = certain

    def forward(self, x):
        right = x[:, :2].argmax(1, keepdim=True) == x[:, 2:]
        return self.certain * (2.0 * right - 1)


def make_item(seed=0, spacing=None):
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")) - 5.5
    rng = np.random.default_rng(seed)
    ball = (grid**2).sum(0) < rng.uniform(6, 16)
    volume = torch.from_numpy(ball[None]).float()
    affine = torch.diag(torch.tensor([*(spacing or (1.0, 1.0, 1.0)), 1.0]))
    return {"image": MetaTensor(volume, affine=affine), "label": MetaTensor(volume, affine=affine), "case": f"c{seed}"}


def gather(certain=30.0, names=("D", "softmax", "entropy"), kind="clean", cases=4, **options):
    segmenter = Segmenter(ShiftedBall(), SimpleInferer())
    confidence = ConfidenceMapd("pred", Truth(certain)).confidence
    scores = make_scores(names, confidence)
    return [gather_case(make_item(seed), segmenter, scores, kind, **options) for seed in range(cases)]


def test_a_d_that_knows_scores_one_and_predicts_the_true_dice():
    cases = gather()
    for case in cases:
        for region in ("band", "volume"):
            assert ScoreHistogram(*case.histograms[region, "D"]).auroc() == 1
        assert case.predicted_dice["D"] == pytest.approx(case.true_dice, abs=1e-6)  # float32
        assert 0.5 < case.true_dice[0] < 1
    table = score_table(cases, resamples=20).set_index(["region", "score"])
    assert table.loc[("band", "D"), ["auroc", "auroc_low", "auroc_high", "aupr"]].tolist() == [1, 1, 1, 1]
    assert table.loc[("volume", "D"), "ece"] == pytest.approx(0, abs=1e-9)
    agreement = agreement_table(case_rows(cases, ["ball"], ["D", "softmax"])).set_index(["class", "score"])
    assert agreement.loc[("mean", "D"), "spearman"] == pytest.approx(1)
    assert agreement.loc[("mean", "D"), "mean_absolute_error"] == pytest.approx(0, abs=1e-6)


def test_a_constant_d_scores_one_half():
    for case in gather(certain=0.0):
        for region in ("band", "volume"):
            assert ScoreHistogram(*case.histograms[region, "D"]).auroc() == 0.5
    table = score_table(gather(certain=0.0), resamples=20).set_index(["region", "score"])
    assert table.loc[("band", "D"), ["auroc", "auroc_low", "auroc_high"]].tolist() == [0.5] * 3


def test_regions_and_dice_by_hand():
    item = make_item()
    label = item["label"][0].numpy().astype(bool)
    predicted = np.roll(label, 1, -1)
    (case,) = gather(cases=1, band_mm=1.0)
    wrong = label != predicted
    assert case.histograms["volume", "D"].sum(1).tolist() == [(~wrong).sum(), wrong.sum()]
    assert case.histograms["band", "D"].sum() < wrong.size
    assert case.histograms["band", "D"][1].sum() == wrong.sum()  # an error lies at a surface
    assert case.true_dice[0] == pytest.approx(2 * (label & predicted).sum() / (label.sum() + predicted.sum()))


def test_band_follows_its_width_and_the_spacing():
    def voxels(band_mm, spacing):
        segmenter = Segmenter(ShiftedBall(), SimpleInferer())
        scores = make_scores(["softmax"], lambda p, x: x)
        item = make_item(spacing=spacing)
        return gather_case(item, segmenter, scores, band_mm=band_mm).histograms["band", "softmax"].sum()

    assert voxels(1.0, (1, 1, 1)) < voxels(2.0, (1, 1, 1))
    assert voxels(2.0, (2, 2, 2)) == voxels(1.0, (1, 1, 1))


def test_an_empty_label_and_call_give_dice_one():
    class Nothing(nn.Module):
        def forward(self, x):
            return torch.cat([torch.ones_like(x), -x], dim=1)

    item = make_item() | {"label": torch.zeros(1, *SHAPE)}
    segmenter = Segmenter(Nothing(), SimpleInferer())
    case = gather_case(item, segmenter, make_scores(["D"], lambda p, x: torch.ones_like(x)))
    assert case.true_dice.tolist() == [1]
    assert case.predicted_dice["D"].tolist() == [1]
    assert case.histograms["band", "D"].sum() == 0
    rows = case_rows([case], ["ball"], ["D"])
    table = score_table([case], resamples=5)
    assert table["auroc"].isna().all()
    assert "nan" not in str(show_scores(table, "band").to_dict())
    draw_curves([case], rows)


def test_regions_can_be_left_out_and_the_dice_stays():
    (whole,), (none,) = gather(cases=1), gather(cases=1, regions=())
    (volume,) = gather(cases=1, regions=("volume",))
    assert not none.histograms
    assert not none.calibration
    assert {region for region, _ in volume.histograms} == {"volume"}
    assert none.true_dice == whole.true_dice
    assert none.predicted_dice == whole.predicted_dice


def evidence(case, raw, true, predicted):
    return CaseEvidence(
        case,
        "clean",
        true_dice=np.array(true),
        predicted_dice={"D": np.array(raw)},
        predicted_classes=np.array(predicted),
    )


def test_calibration_leaves_a_class_called_nowhere_as_it_is():
    # slope 0: every Dice becomes sigma(0) = 0.5, with 0.1 on both sides
    half = DiceCalibration(0.9, (ClassCalibration([0.5], [0.5], 0.1, 0.0, 20),) * 2)
    case = evidence("a", [0.8, 0.7], [0.55, 0.0], [True, False])
    calibrate_case(case, half)
    assert case.predicted_dice[CALIBRATED].tolist() == pytest.approx([0.5, 0.7])
    assert case.interval[:, 0].tolist() == pytest.approx([0.4, 0.6])
    assert np.isnan(case.interval[:, 1]).all()


def test_coverage_counts_the_true_dice_inside_intervals():
    half = DiceCalibration(0.9, (ClassCalibration([0.5], [0.5], 0.1, 0.0, 20),) * 2)
    # inside are 0.55 of the first class and, of the second, nothing of one case; the other calls it nowhere
    cases = [evidence("a", [0.8, 0.7], [0.55, 0.0], [True, False]), evidence("b", [0.9, 0.6], [0.9, 0.9], [True, True])]
    for case in cases:
        calibrate_case(case, half)
    table = agreement_table(case_rows(cases, ["one", "two"], ["D", CALIBRATED]))
    found = table.set_index(["class", "score"])["interval_coverage"]
    assert found[:, CALIBRATED].to_dict() == pytest.approx({"one": 1 / 2, "two": 0, "mean": 1 / 3})
    assert found[:, "D"].isna().all()
    widths = table.set_index(["class", "score"])["interval_width"]
    assert widths[:, CALIBRATED].to_dict() == pytest.approx(dict.fromkeys(("one", "two", "mean"), 0.2))
    # a constant knows the other case's Dice alone: 0.9 for 0.55, and 0.55 for 0.9
    assert table.set_index(["class", "score"])["mean_absolute_error"]["one", "constant"] == pytest.approx(0.35)
    # |0.5 - 0.55| and |0.5 - 0.9|
    errors = table.set_index(["class", "score"])["mean_absolute_error"]
    assert errors["one", CALIBRATED] == pytest.approx((0.05 + 0.4) / 2)
    assert "nan" not in markdown_table(table)


def test_flags_are_counted_by_the_worst_class_of_a_case():
    cases = [  # D's Dice, and the true one
        evidence("found", [0.9, 0.7], [0.9, 0.6], [True, True]),
        evidence("missed", [0.9, 0.9], [0.7, 0.9], [True, True]),
        evidence("for nothing", [0.79, 0.9], [0.9, 0.9], [True, True]),
        evidence("good", [0.9, 0.9], [0.8, 0.9], [True, True]),
    ]
    hard = evidence("found", [0.1, 0.2], [0.2, 0.1], [True, True])
    hard.kind = "noise"
    table = flag_table(case_rows([*cases, hard], ["one", "two"], ["D"])).set_index("cases")
    assert table.loc["clean", ["n", "bad", "flagged", "found", "right"]].tolist() == [4, 2, 2, 0.5, 0.5]
    assert table.loc["clean and hard", ["n", "bad", "flagged"]].tolist() == [5, 3, 3]
    assert table.loc["clean and hard", ["found", "right"]].tolist() == pytest.approx([2 / 3, 2 / 3])
    none = flag_table(case_rows(cases, ["one", "two"], ["D"]), below=0.1)
    assert none[["bad", "flagged"]].to_numpy().tolist() == [[0, 0]]
    assert none[["found", "right"]].isna().all(axis=None)


def test_a_label_that_s_does_not_know_is_an_error():
    segmenter = Segmenter(ShiftedBall(), SimpleInferer())
    item = make_item() | {"label": torch.full((1, *SHAPE), 2.0)}
    with pytest.raises(ValueError, match=r"c0 holds label 2, S knows 0\.\.1"):
        gather_case(item, segmenter, {})


def test_relative_time_is_the_median_of_ratios():
    # (1 + 1) / 1 = 2, (4 + 2) / 4 = 1.5, (1 + 9) / 1 = 10: the median is 2
    cases = [CaseEvidence("c", "clean", seconds={"S": s, "D": d}) for s, d in ((1, 1), (4, 2), (1, 9))]
    assert relative_times(cases) == {"D": 2.0}


def test_differences_are_d_minus_the_rival_and_entropy_has_no_ece():
    table = score_table(gather(), resamples=20).set_index(["region", "score"])
    softmax, entropy = table.loc[("volume", "softmax")], table.loc[("volume", "entropy")]
    assert softmax["auroc_difference"] == pytest.approx(1 - softmax["auroc"])
    assert softmax["auroc_difference_low"] <= softmax["auroc_difference"] <= softmax["auroc_difference_high"]
    assert softmax["ece_difference"] == pytest.approx(table.loc[("volume", "D"), "ece"] - softmax["ece"])
    assert np.isnan(entropy["ece"])
    assert np.isnan(table.loc[("volume", "D"), "auroc_difference"])


def test_agreement_groups_clean_hard_and_each_kind():
    rows = case_rows([*gather(cases=3), *gather(kind="noise", cases=2)], ["ball"], ["D"])
    counts = agreement_table(rows).query("`class` == 'mean' and score == 'D'").set_index("cases")["n"]
    assert counts.to_dict() == {"clean": 3, "clean and hard": 5, "noise": 2}
    assert [*agreement_table(rows[rows["kind"] == "clean"])["cases"].unique()] == ["clean"]


def test_curves_hold_every_score_and_kind():
    clean, hard = gather(), gather(kind="noise", names=("D", "softmax"))
    figure = draw_curves(clean, case_rows([*clean, *hard], ["ball"], ["D", "softmax"]))
    legends = [[text.get_text() for text in panel.get_legend().get_texts()] for panel in figure.axes]
    assert legends == [["D", "softmax", "entropy"], ["D", "softmax", "entropy"], ["D", "softmax"], ["clean", "noise"]]
