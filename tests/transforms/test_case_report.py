import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import compute_dice
from monai.networks import one_hot

from dam_components.metrics import ClassCalibration, DiceCalibration
from dam_components.networks import file_digests, identify, put_identity
from dam_components.transforms import CaseReportd, case_quality

NAMES = {"1": "left lobe", "2": "right"}


def case(classes: int = 3, seed: int = 0, spacing_mm=(0.5, 1.0, 4.0), file: str | None = "/images/p7.nii.gz") -> dict:
    """Probabilities, M and image of a case, as they are after the inversion."""
    generator = torch.Generator().manual_seed(seed)
    shape = (8, 7, 6)
    affine = torch.diag(torch.tensor([*spacing_mm, 1.0], dtype=torch.float64))
    logits = 2 * torch.randn(classes, *shape, generator=generator)
    logits[0] += 20 * (1 - torch.nn.functional.pad(torch.ones(6, 5, 4), [1] * 6))  # nothing touches the border
    probabilities = logits.softmax(0)
    image = MetaTensor(torch.zeros(1, *shape), meta={} if file is None else {"filename_or_obj": file})
    return {
        "pred": MetaTensor(probabilities, affine=affine),
        "confidence": MetaTensor(0.5 + 0.5 * torch.rand(1, *shape, generator=generator), affine=affine),
        "image": image,
    }


def calibration(classes: int, spread: float = 0.1) -> DiceCalibration:
    """Leaves the Dice, with an interval of the spread to both sides."""
    return DiceCalibration(0.9, (ClassCalibration([0, 1], [0, 1], spread, 0.0, 50),) * classes)


@pytest.mark.parametrize("seed", range(3))
def test_a_confidence_map_that_knows_the_truth_predicts_the_true_dice(seed):
    data = case(2, seed)
    generator = torch.Generator().manual_seed(seed)
    predicted = data["pred"].as_tensor().argmax(0, keepdim=True)
    truth = torch.where(torch.rand(predicted.shape, generator=generator) < 0.8, predicted, 1 - predicted)
    data["confidence"] = (predicted == truth).float()
    dice = compute_dice(one_hot(predicted[None], 2), one_hot(truth[None], 2), include_background=False)
    result = CaseReportd("pred", {"1": "gland"})(data)["result"]
    assert result["gland_predicted_dice"] == pytest.approx(float(dice), abs=1e-6)
    assert result["predicted_mean_dice"] == pytest.approx(float(dice), abs=1e-6)


def test_numbers_by_hand():
    # A row of 5 voxels of 0.5 x 2 x 3 mm predicted 0 0 1 1 0; 2 voxels of 3 cubic mm are 0.006 ml.
    probabilities = torch.tensor([[0.9, 0.9, 0.2, 0.4, 0.7], [0.1, 0.1, 0.8, 0.6, 0.3]]).reshape(2, 5, 1, 1)
    confidence = torch.tensor([0.1, 0.9, 0.8, 0.6, 0.7]).reshape(1, 5, 1, 1)
    quality = case_quality(probabilities, confidence, (0.5, 2.0, 3.0), {1: "gland"}, band_mm=0.5)
    gland = quality["classes"]["gland"]
    assert gland["volume_ml"] == pytest.approx(0.006)
    assert gland["mean_confidence"] == pytest.approx((0.9 + 0.8 + 0.6 + 0.7) / 4)  # one voxel to each side
    # TP 1.4 of 2 voxels; FN 0.9 + 0.1 + 0.3
    assert gland["predicted_dice"] == pytest.approx(2 * 1.4 / (2 + 1.4 + 1.3))
    assert gland["predicted_dice_low"] is None
    assert gland["predicted_dice_high"] is None
    wider = case_quality(probabilities, confidence, (0.5, 2.0, 3.0), {1: "gland"}, band_mm=1.0)
    assert wider["classes"]["gland"]["mean_confidence"] == pytest.approx((0.1 + 0.9 + 0.8 + 0.6 + 0.7) / 5)


def test_a_perfect_case_needs_no_review_and_a_doubtful_one_does():
    data = case()
    data["confidence"] = torch.ones(1, 8, 7, 6)
    sure = CaseReportd("pred", NAMES)(data)["result"]
    assert (sure["review"], sure["review_reasons"], sure["predicted_mean_dice"]) == (False, "", 1)
    data["confidence"] = torch.full((1, 8, 7, 6), 0.9)
    result = CaseReportd("pred", NAMES)(data)["result"]
    each = [result["left_lobe_predicted_dice"], result["right_predicted_dice"]]
    assert result["predicted_mean_dice"] == pytest.approx(sum(each) / 2)
    for limit, flagged in ((max(each) + 0.01, 2), (sum(each) / 2, 1), (min(each) - 0.001, 0)):
        result = CaseReportd("pred", NAMES, review_below=limit)(data)["result"]
        assert result["review"] is bool(flagged)
        assert result["review_reasons"].count("is below") == flagged


def test_the_calibrated_dice_of_one_class_is_enough_for_review_and_its_interval_is_told():
    data = case()
    raw = CaseReportd("pred", NAMES, review_below=0)(data)["result"]
    assert not raw["review"]
    left, right = (raw[f"{name}_predicted_dice"] for name in ("left_lobe", "right"))
    lower = ClassCalibration([0, 1], [0, 0.5], 0.1, 0.0, 50)
    worse = DiceCalibration(0.9, (lower, *calibration(1).classes))
    limit = min(left, right) - 0.01  # the raw ones are above it
    assert not CaseReportd("pred", NAMES, review_below=limit)(data)["result"]["review"]
    result = CaseReportd("pred", NAMES, calibration=worse, review_below=limit)(data)["result"]
    dice = result["left_lobe_predicted_dice"]
    assert dice < limit < left
    assert result["right_predicted_dice"] == pytest.approx(right)
    assert result["left_lobe_predicted_dice_low"] == pytest.approx(max(dice - 0.1, 0))
    assert result["left_lobe_predicted_dice_high"] == pytest.approx(dice + 0.1)
    assert result["review"] is True
    assert result["review_reasons"] == f"left lobe: predicted Dice {dice:.2f} is below {limit:g}"


@pytest.mark.parametrize("calibrated", [False, True])
def test_an_absent_class_and_an_all_background_prediction(calibrated):
    data = case()
    report = CaseReportd("pred", NAMES, calibration=calibration(2) if calibrated else None, review_below=0)
    data["confidence"] = torch.ones(1, 8, 7, 6)
    data["pred"][2] = 0
    result = report(data)["result"]
    assert result["review"] is True
    assert result["review_reasons"] == "right is absent from the segmentation"
    assert (result["right_volume_ml"], result["right_mean_confidence"]) == (0, None)
    ends = [result[f"right_predicted_dice{end}"] for end in ("", "_low", "_high")]
    assert ends == [None] * 3  # however sure D is that there is none
    assert result["predicted_mean_of"] == "left lobe"
    assert result["predicted_mean_dice"] == result["left_lobe_predicted_dice"] == 1
    assert result["case_confidence"] == 0.25  # half of a half: for review, and the absent one counts 0
    data["pred"][1] = 0
    data["confidence"] = torch.full((1, 8, 7, 6), 0.5)
    result = report(data)["result"]
    assert (result["predicted_mean_dice"], result["predicted_mean_of"]) == (None, "")
    assert result["case_confidence"] == 0
    assert (result["left_lobe_mean_confidence"], result["right_mean_confidence"]) == (None, None)
    assert "left lobe is absent" in result["review_reasons"]
    json.dumps(result, allow_nan=False)


def test_the_file_and_the_result_say_the_same(tmp_path):
    data = {**case(), "result": {"kept": 1}}
    before = {key: data[key].clone() for key in ("pred", "confidence", "image")}
    out = CaseReportd("pred", NAMES, output_dir=tmp_path, calibration=calibration(2))(data)
    assert [str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*.*")] == ["p7/p7_report.json"]
    report = json.loads((tmp_path / "p7" / "p7_report.json").read_text())
    assert report["case"] == "p7"
    assert report["image"] == "/images/p7.nii.gz"
    assert report["spacing_mm"] == [0.5, 1.0, 4.0]
    assert report["calibrated"] is True
    assert list(report["classes"]) == ["left lobe", "right"]
    result = out["result"]
    assert result.pop("kept") == 1
    assert result.pop("review_reasons") == "; ".join(report["reasons"])
    assert result.pop("remarks") == "; ".join(report["remarks"])
    assert result.pop("predicted_mean_of") == "; ".join(report["predicted_mean_of"]) == "left lobe; right"
    same = ("review", "predicted_mean_dice", "case_confidence", "calibrated")
    assert {k: report[k] for k in same} == {k: result.pop(k) for k in same}
    assert result == {
        f"{name.replace(' ', '_')}_{k}": v for name, row in report["classes"].items() for k, v in row.items()
    }
    assert all(torch.equal(out[key], before[key]) for key in before)
    assert data["result"] == {"kept": 1}


def test_volumes_are_those_of_the_argmax_at_the_affine_of_the_prediction():
    data = case()
    counts = np.bincount(data["pred"].argmax(0).numpy().ravel().astype(int))
    result = CaseReportd("pred", NAMES)(data)["result"]
    assert result["left_lobe_volume_ml"] == pytest.approx(counts[1] * 2 / 1000)
    data["pred"].affine = torch.diag(torch.tensor([1.0, 2.0, 4.0, 1.0]))
    assert CaseReportd("pred", NAMES)(data)["result"]["left_lobe_volume_ml"] == pytest.approx(counts[1] * 8 / 1000)


def test_a_server_gets_numbers_and_no_files(tmp_path):
    data = {**case(), "image_path": "/store/p7.nii.gz"}
    assert "predicted_mean_dice" in CaseReportd("pred", NAMES, output_dir=tmp_path)(data)["result"]
    assert not list(tmp_path.iterdir())
    CaseReportd("pred", NAMES, output_dir=tmp_path, server_key=None)(data)
    assert (tmp_path / "p7" / "p7_report.json").is_file()


def test_an_image_without_a_name_can_be_judged_but_not_written(tmp_path):
    data = case(file=None)
    assert "review" in CaseReportd("pred", NAMES)(data)["result"]
    with pytest.raises(ValueError, match="the image names no file, so its case has no name: set output_dir to null"):
        CaseReportd("pred", NAMES, output_dir=tmp_path)(data)


def test_calibration_from_a_file(tmp_path, caplog):
    file = tmp_path / "calibration.json"
    with caplog.at_level(logging.WARNING):
        report = CaseReportd("pred", NAMES, calibration=file)
    assert "there is no calibration" in caplog.text
    assert report(case())["result"]["right_predicted_dice_low"] is None
    calibration(2).save(file)
    assert CaseReportd("pred", NAMES, calibration=str(file))(case())["result"]["right_predicted_dice_low"] is not None
    calibration(1).save(file)
    with pytest.raises(ValueError, match=r"fitted for 1 foreground classes, this configuration has 2"):
        CaseReportd("pred", NAMES, calibration=file)


def save_network(file, seed, made_for=None):
    torch.manual_seed(seed)
    network = torch.nn.Conv2d(1, 1, 1)
    state = network.state_dict()
    put_identity(state, identify(network, NAMES, made_for))
    torch.save(state, file)
    return str(file)


@pytest.mark.parametrize("several", [False, True])
def test_a_calibration_of_other_weights_is_not_applied(tmp_path, caplog, several):
    s, s2, d = (save_network(tmp_path / f"{name}.pt", i) for i, name in enumerate(("S", "S2", "D")))
    weights = [[s, s2] if several else s, d]
    used = tuple(file_digests([s, s2, d] if several else [s, d]))
    replace(calibration(2), networks=used).save(tmp_path / "calibration.json")

    def report():
        part = CaseReportd(
            "pred", NAMES, output_dir=tmp_path, calibration=tmp_path / "calibration.json", weights=weights
        )
        return part(case())["result"], json.loads((tmp_path / "p7" / "p7_report.json").read_text())

    result, written = report()
    assert result["calibrated"]
    assert written["calibrated"]
    assert result["remarks"] == ""
    assert written["remarks"] == []
    assert written["networks"] == {"S": [*used[:-1]], "D": used[-1]}
    assert written["package"]
    assert not caplog.text
    save_network(d, seed=7)
    with caplog.at_level(logging.WARNING):
        result, written = report()
    (remark,) = written["remarks"]
    assert result["remarks"] == remark
    assert remark in caplog.text
    assert f"calibration.json is of the weights {', '.join(used)}, not of {used[0]}" in remark
    assert "predicted Dice is raw and has no interval until you run calibrate for these" in remark
    assert result["calibrated"] is written["calibrated"] is False
    assert result["right_predicted_dice_low"] is None
    raw = CaseReportd("pred", NAMES)(case())["result"]
    assert result["right_predicted_dice"] == raw["right_predicted_dice"]


def test_a_calibration_of_other_weights_may_be_of_other_classes(tmp_path):
    """Else a new task could not be run in the folder of an old one."""
    weights = [save_network(tmp_path / "S.pt", 0), save_network(tmp_path / "D.pt", 1)]
    replace(calibration(1), networks=("0123456789abcdef",)).save(tmp_path / "calibration.json")
    part = CaseReportd("pred", NAMES, calibration=tmp_path / "calibration.json", weights=weights)
    assert part(case())["result"]["calibrated"] is False


def test_a_calibration_of_renamed_classes_is_not_applied(tmp_path):
    weights = [save_network(tmp_path / "S.pt", 0), save_network(tmp_path / "D.pt", 1)]
    of_these = replace(calibration(2), networks=tuple(file_digests(weights)))
    replace(of_these, label_names={"1": "left lobe", "2": "liver"}).save(tmp_path / "calibration.json")
    result = CaseReportd("pred", NAMES, calibration=tmp_path / "calibration.json", weights=weights)(case())["result"]
    assert result["calibrated"] is False
    assert "is of the classes left lobe, liver, not of left lobe, right" in result["remarks"]


def test_a_calibration_that_does_not_say_whose_it_is_is_used_with_a_warning(tmp_path, caplog):
    weights = [save_network(tmp_path / "S.pt", 0), save_network(tmp_path / "D.pt", 1)]
    calibration(2).save(tmp_path / "calibration.json")
    part = CaseReportd("pred", NAMES, calibration=tmp_path / "calibration.json", weights=weights)
    assert part(case())["result"]["calibrated"] is True
    assert "calibration.json does not say of which weights it is" in caplog.text


def test_d_behind_another_s_is_told(tmp_path):
    s, other = save_network(tmp_path / "S.pt", 0), save_network(tmp_path / "other.pt", 1)
    d = save_network(tmp_path / "D.pt", 2, file_digests(s))
    assert CaseReportd("pred", NAMES, weights=[s, d])(case())["result"]["remarks"] == ""
    remark = f"D ({file_digests(d)[0]}) was trained for another S ({file_digests(s)[0]})"
    assert CaseReportd("pred", NAMES, weights=[other, d])(case())["result"]["remarks"] == remark


def test_passes_data_without_a_prediction_on_if_allowed():
    data = {"image": torch.zeros(1, 2, 2, 2)}
    assert CaseReportd("pred", NAMES, allow_missing_keys=True)(data) == data
    with pytest.raises(KeyError):
        CaseReportd("pred", NAMES)(data)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"keys must name the probabilities, one key, got \['a', 'b'\]"):
        CaseReportd(["a", "b"], NAMES)
    with pytest.raises(ValueError, match="review_below must be a Dice in 0..1, got 80"):
        CaseReportd("pred", NAMES, review_below=80)
    with pytest.raises(ValueError, match=r"must name the classes 1..2 of the prediction's 3 channels, got \[1\]"):
        CaseReportd("pred", {"1": "gland"})(case())
    with pytest.raises(ValueError, match="the prediction has no affine"):
        CaseReportd("pred", NAMES)({**case(), "pred": torch.rand(3, 8, 7, 6)})
