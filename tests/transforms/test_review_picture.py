import nibabel as nib
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.data import MetaTensor

from dam_components.transforms import ReviewPictured, review_picture
from dam_components.transforms.review_picture import legend, title


@pytest.fixture
def case(tmp_path):
    """A file, and what the postprocessing holds of it after the argmax."""
    file = tmp_path / "in" / "p7.nii.gz"
    file.parent.mkdir()
    random = np.random.default_rng(0)
    nib.save(nib.Nifti1Image(random.random((20, 18, 12)).astype(np.float32), np.diag([1, 1, 2, 1.0])), file)
    prediction = torch.zeros(1, 20, 18, 12)
    prediction[:, 5:12, 5:12, 3:9] = 1
    image = MetaTensor(torch.zeros(1, 20, 18, 24), meta={"filename_or_obj": str(file)})  # as resampled for S
    return {"pred": MetaTensor(prediction), "confidence": torch.full((1, 20, 18, 12), 0.7), "image": image}


def test_writes_one_picture_beside_the_report_and_leaves_the_data(case, tmp_path):
    out = ReviewPictured("pred", {"1": "gland"}, output_dir=tmp_path / "out")(case)
    assert [str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("*.*")] == ["p7/p7_review.png"]
    assert imread(tmp_path / "out" / "p7" / "p7_review.png").shape[2] in (3, 4)
    assert out.keys() == case.keys()
    assert all(out[key] is case[key] for key in case)


def test_shows_the_file_with_its_numbers(case, tmp_path, monkeypatch):
    seen = {}
    real = review_picture.draw_review

    def draw_review(image, prediction, confidence, affine, **options):
        seen.update(image=image, affine=affine, **options)
        return real(image, prediction, confidence, affine, **options)

    monkeypatch.setattr(review_picture, "draw_review", draw_review)
    case["result"] = {"predicted_mean_dice": 0.71, "review": False, "review_reasons": "", "gland_predicted_dice": 0.71}
    ReviewPictured("pred", {"1": "gland"}, output_dir=tmp_path, count=2, band_mm=1.0)(case)
    assert seen["image"].shape == (20, 18, 12)
    assert seen["image"].max() > 0.9
    assert np.diag(seen["affine"]).tolist() == [1, 1, 2, 1]
    assert (seen["count"], seen["band_mm"]) == (2, 1.0)
    assert seen["names"] == {1: "gland: predicted Dice 0.71"}
    assert seen["title"] == "p7, predicted mean Dice 0.71"


def test_words():
    numbers = {"predicted_mean_dice": 0.7, "review": True, "review_reasons": "a; b", "left_lobe_predicted_dice": 0.7}
    assert title("p", {}) == "p"
    assert title("p", numbers) == "p, predicted mean Dice 0.70\nfor review: a\nb"
    assert legend("left lobe", {}) == "left lobe"
    interval = {"left_lobe_predicted_dice_low": 0.6, "left_lobe_predicted_dice_high": 0.8}
    assert legend("left lobe", {**numbers, **interval}) == "left lobe: predicted Dice 0.70 (0.60 to 0.80)"


def test_draws_nothing_without_a_folder_or_for_a_server(case, tmp_path):
    ReviewPictured("pred", {"1": "gland"})(case)
    served = {**case, "image_path": "/store/p7.nii.gz"}
    ReviewPictured("pred", {"1": "gland"}, output_dir=tmp_path / "out")(served)
    assert not (tmp_path / "out").exists()
    ReviewPictured("pred", {"1": "gland"}, output_dir=tmp_path / "out", server_key=None)(served)
    assert (tmp_path / "out" / "p7" / "p7_review.png").is_file()


def test_all_background_is_drawn(case, tmp_path):
    case["pred"] = 0 * case["pred"]
    ReviewPictured("pred", {"1": "gland"}, output_dir=tmp_path)(case)
    assert (tmp_path / "p7" / "p7_review.png").is_file()


def test_bad_input(case, tmp_path):
    with pytest.raises(ValueError, match=r"keys must name the segmentation, one key, got \['a', 'b'\]"):
        ReviewPictured(["a", "b"], {"1": "gland"})
    with pytest.raises(ValueError, match="count must be at least 1 slice, got 0"):
        ReviewPictured("pred", {"1": "gland"}, count=0)
    case["pred"] = torch.zeros(1, 20, 18, 24)
    with pytest.raises(ValueError, match=r"shape \(1, 20, 18, 24\), its image .*p7.nii.gz \(20, 18, 12\); run Review"):
        ReviewPictured("pred", {"1": "gland"}, output_dir=tmp_path)(case)
    del case["pred"]
    assert ReviewPictured("pred", {"1": "gland"}, output_dir=tmp_path, allow_missing_keys=True)(case) == case
