"""Reasons to look at a case that training cases give."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from dam_components.metrics import DiceCalibration
from dam_components.metrics.training_range import ImageNumbers, StructureNumbers, TrainingRange
from dam_components.transforms import CaseReportd
from dam_components.transforms.review_reasons import REASONS


def an_image(seed=0, gain=1.0):
    return gain * torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


def known() -> TrainingRange:
    images = [ImageNumbers.of(an_image(seed).numpy(), (1.0, 1.0, 1.0), "RAS") for seed in range(5)]
    return TrainingRange.of(images, [{"1": StructureNumbers(volume, 1)} for volume in (0.05, 0.06, 0.07, 0.06, 0.08)])


def report(image=None, boxes=((4, 8),), affine=None, **options):
    """What is said of a structure in boxes along the first axis, of 4 x 4 voxels across."""
    foreground = torch.zeros(16, 16, 16)
    for start, end in boxes:
        foreground[start:end, 4:8, 4:8] = 1
    data = {
        "image": MetaTensor(an_image(9) if image is None else image),
        "pred": MetaTensor(
            torch.stack([1 - foreground, foreground]), affine=torch.eye(4) if affine is None else affine
        ),
        "confidence": torch.ones(1, 16, 16, 16),
    }
    calibration = replace(DiceCalibration.identity(1), training=known())
    return CaseReportd("pred", {"1": "gland"}, calibration=calibration, **options)(data)["result"]


def test_a_case_as_in_training_has_no_reason():
    assert (report()["review_reasons"], report()["case_confidence"]) == ("", 1)


@pytest.mark.parametrize(
    ("case", "reason", "text"),
    [
        ({"boxes": ()}, "absent", "gland is absent from the segmentation"),
        ({"boxes": ((0, 4),)}, "border", "gland touches the border of the image: a part may lie outside"),
        ({"boxes": ((4, 6), (9, 11))}, "pieces", "gland lies in 2 pieces, in training in at most 1"),
        ({"boxes": ((4, 14),)}, "volume", "gland: 0.16 ml, in training 0.05 to 0.08 ml"),
        ({"boxes": ((4, 6),)}, "volume", "gland: 0.032 ml, in training 0.05 to 0.08 ml"),
        ({"image": an_image(9, 3.0)}, "image", "the image's intensities are unlike training: percentile 0.5, "),
        (
            {"affine": torch.diag(torch.tensor([1.0, 2.0, 0.5, 1.0]))},
            "image",
            "the image's voxels are unlike training: 1 x 2 x 0.5 mm, there 1 to 1 mm",
        ),
        (
            {"affine": torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))},
            "image",
            "the image's axes point to LAS, in training to RAS",
        ),
    ],
)
def test_each_reason_is_given_and_can_be_switched_off(case, reason, text):
    told = report(**case)
    assert told["review_reasons"].startswith(text)
    assert told["review"] is True
    assert told["case_confidence"] <= 0.5
    rest = [name for name in REASONS if name != reason]
    assert report(**case, review_for=rest)["review_reasons"] == ""


def test_sharpness_tells_a_blurred_image():
    smooth = torch.nn.functional.avg_pool3d(an_image(9), 3, 1, 1)
    told = report((smooth - smooth.mean()) / smooth.std())["review_reasons"]
    assert told == "the image's intensities are unlike training: sharpness"


def test_without_ranges_nothing_is_said_of_training():
    data = {"pred": MetaTensor(torch.eye(2).repeat(1, 4).reshape(2, 8, 1, 1)), "confidence": torch.ones(1, 8, 1, 1)}
    result = CaseReportd("pred", {"1": "gland"}, calibration=DiceCalibration.identity(1))(data)["result"]
    assert "training" not in result["review_reasons"]


def test_ranges_survive_their_file_and_broken_ones_are_refused(tmp_path):
    calibration = replace(DiceCalibration.identity(1), training=known())
    calibration.save(tmp_path / "c.json")
    assert DiceCalibration.load(tmp_path / "c.json") == calibration
    text = (tmp_path / "c.json").read_text()
    assert '"RAS"' in text
    (tmp_path / "c.json").write_text(text.replace('"cases": 5', '"people": 5'))
    with pytest.raises(ValueError, match="no Dice calibration"):
        DiceCalibration.load(tmp_path / "c.json")
    with pytest.raises(ValueError, match="a range over the training cases is 2..1"):
        replace(known(), spacing_mm=[2, 1])


def test_unknown_reasons_are_named():
    with pytest.raises(ValueError, match="review_for must be of absent, border, dice, .* got 'colour'"):
        CaseReportd("pred", {"1": "gland"}, review_for=["colour"])


def test_large_images_are_read_in_part():
    few, many = np.zeros((1, 4, 4, 4)), np.zeros((1, 200, 200, 200), np.uint8)
    assert ImageNumbers.of(few, (1, 1, 1)).intensity == ImageNumbers.of(many, (1, 1, 1)).intensity
