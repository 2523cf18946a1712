import csv
import math
import os

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from scipy import ndimage
from scipy.spatial.distance import cdist

from dam_components.metrics import case_metrics, write_cases_csv

KEYS = ["label", "region", "dice", "asd_mm", "hd95_mm", "rvd_percent", "volume_ml", "reference_ml"]


def random_pair(seed: int) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Two overlapping blobs, some cut by the border, with anisotropic spacing; a few degenerate ones."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(8, 16, 3))
    spacing = tuple(float(s) for s in rng.uniform(0.5, 4.0, 3))
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 2)
    other = field + 0.5 * ndimage.gaussian_filter(rng.standard_normal(shape), 2)
    prediction, label = field > np.quantile(field, rng.uniform(0.5, 0.95)), other > np.quantile(other, 0.8)
    if seed == 0:
        prediction = label  # the same
    elif seed == 1:
        prediction = np.arange(label.size).reshape(shape) == 0  # one voxel in a corner
    elif seed == 2:
        prediction, label = np.ones(shape, dtype=bool), np.arange(label.size).reshape(shape) == label.size - 1
    elif seed == 3:
        prediction, label = label & False, label & False
    elif seed == 4:
        prediction = label & False
    elif seed == 5:
        label = label & False
    return prediction, label, spacing


def itk(mask: np.ndarray, spacing: tuple[float, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    return sitk.ConstantPad(image, [1] * 3, [1] * 3, 0)


def itk_metrics(prediction: np.ndarray, label: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    """SimpleITK's Dice, volumes, face-connected contours and exact distance maps."""
    images = itk(prediction, spacing), itk(label, spacing)
    volumes = []
    for image in images:
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(image)
        volumes.append(shape.GetPhysicalSize(1) / 1000 if shape.HasLabel(1) else 0.0)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    contours = [sitk.BinaryContour(image, False, 0.0, 1.0) for image in images]
    surfaces = [sitk.GetArrayFromImage(contour) > 0 for contour in contours]
    maps = [
        np.maximum(sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(c, False, False, True)), 0) for c in contours
    ]
    there, back = maps[1][surfaces[0]], maps[0][surfaces[1]]
    return {
        "dice": overlap.GetDiceCoefficient(),
        "asd_mm": float(np.concatenate([there, back]).mean(dtype=np.float64)),
        "hd95_mm": max(float(np.percentile(d.astype(np.float64), 95)) for d in (there, back)),
        "rvd_percent": 100 * (volumes[0] / volumes[1] - 1),
        "volume_ml": volumes[0],
        "reference_ml": volumes[1],
    }


def brute_force(prediction: np.ndarray, label: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    """Definition written out: voxels with a face neighbour outside, all distances between their centres."""
    points = []
    for mask in (prediction, label):
        padded = np.pad(mask, 1)
        inside = np.all([np.roll(padded, step, axis) for axis in range(3) for step in (-1, 1)], axis=0)
        points.append(np.argwhere(padded & ~inside) * spacing)
    distances = cdist(*points)
    there, back = distances.min(axis=1), distances.min(axis=0)
    return {
        "dice": 2 * (prediction & label).sum() / (prediction.sum() + label.sum()),
        "asd_mm": np.concatenate([there, back]).mean(),
        "hd95_mm": max(np.percentile(there, 95), np.percentile(back, 95)),
    }


EMPTY = {  # as the docstring's table
    3: {"dice": 1.0, "asd_mm": 0.0, "hd95_mm": 0.0, "rvd_percent": 0.0},
    4: {"dice": 0.0, "asd_mm": math.nan, "hd95_mm": math.nan, "rvd_percent": -100.0},
    5: {"dice": 0.0, "asd_mm": math.nan, "hd95_mm": math.nan, "rvd_percent": math.nan},
}


@pytest.mark.parametrize("seed", range(50))
def test_agrees_with_simpleitk_and_with_the_definition_to_1e_6(seed):
    prediction, label, spacing = random_pair(seed)
    (row,) = case_metrics(prediction.astype(int) * 3, label.astype(int) * 3, spacing, {3: "organ"})
    assert list(row) == KEYS
    if seed in EMPTY:
        expected = EMPTY[seed]
    else:
        expected = itk_metrics(prediction, label, spacing)
        for key, value in brute_force(prediction, label, spacing).items():
            assert row[key] == pytest.approx(value, rel=0, abs=1e-6), key
    for key, value in expected.items():  # SimpleITK's distance maps are single precision
        assert row[key] == pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True), key


@pytest.mark.parametrize("seed", range(6, 12))
def test_is_what_monai_gives(seed):
    prediction, label, spacing = random_pair(seed)
    (row,) = case_metrics(prediction, label, spacing, {1: "organ"})
    pair = [torch.as_tensor(mask)[None, None] for mask in (prediction, label)]
    asd = compute_average_surface_distance(*pair, include_background=True, symmetric=True, spacing=spacing)
    hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)
    assert row["asd_mm"] == pytest.approx(asd.item(), rel=1e-5)  # MONAI's is single precision
    assert row["hd95_mm"] == pytest.approx(hd95.item(), rel=1e-5)


def two_cubes() -> tuple[np.ndarray, np.ndarray]:
    """A 4x4x6 box and the same box one slice further along the last axis."""
    label = np.zeros((8, 8, 12), dtype=int)
    label[2:6, 2:6, 2:8] = 1
    return np.roll(label, 1, axis=2), label


def test_a_shifted_box_by_hand():
    prediction, label = two_cubes()
    (row,) = case_metrics(prediction, label, (1.0, 1.0, 3.0), {1: "box"})
    # 5 of 6 slices overlap. Of the 96 voxels, 2x2 of each of the 4 inner slices are no surface: 80. The end slice (16)
    # that overshoots is 3 mm off. The other end, slice 3, touches: its rim is surface of the other box too, its inner
    # 4 voxels lie in that box, 1 mm from its rim. Both directions alike.
    assert row["dice"] == pytest.approx(5 / 6)
    assert row["asd_mm"] == pytest.approx((16 * 3 + 4 * 1) / 80)
    assert row["hd95_mm"] == 3
    assert row["volume_ml"] == row["reference_ml"] == pytest.approx(96 * 3 / 1000)
    assert row["rvd_percent"] == 0


def test_spacing_scales_distances_and_volumes():
    prediction, label = two_cubes()
    (small,) = case_metrics(prediction, label, (1.0, 1.0, 3.0), {1: "box"})
    (large,) = case_metrics(prediction, label, (2.0, 2.0, 6.0), {1: "box"})
    assert large["asd_mm"] == pytest.approx(2 * small["asd_mm"])
    assert large["volume_ml"] == pytest.approx(8 * small["volume_ml"])


def test_regions_share_the_voxels_and_the_surface():
    prediction, label = two_cubes()
    rows = case_metrics(prediction, label, (1.0, 1.0, 3.0), {1: "box"}, regions=True)
    assert [row["region"] for row in rows] == ["whole", "apex", "middle", "base"]
    whole, apex, middle, base = rows
    # The label's slices 2..7 part into 2-3, 4-5, 6-7; the prediction has 3, 4-5, 6-8 there.
    assert apex["rvd_percent"] == -50
    assert apex["dice"] == pytest.approx(2 / 3)
    assert middle["dice"] == 1
    assert middle["asd_mm"] == 0
    assert base["rvd_percent"] == pytest.approx(50)
    assert base["dice"] == pytest.approx(4 / 5)
    # Slice 6 and the rim of 7 touch; the label's inner 4 voxels of 7 are 1 mm from that rim, the 16 of 8 are 3 mm off.
    # The planes of the cut add no surface: slice 6 has its rim of 12 only.
    assert base["asd_mm"] == pytest.approx((4 * 1 + 16 * 3) / (12 + 16 + 12 + 12 + 16))
    assert base["hd95_mm"] == 3
    assert sum(row["volume_ml"] for row in rows[1:]) == pytest.approx(whole["volume_ml"])


def test_slice_order_swaps_apex_and_base_rows():
    pair = two_cubes()
    forward = case_metrics(*pair, (1.0, 1.0, 3.0), {1: "box"}, regions=True)
    backward = case_metrics(*pair, (1.0, 1.0, 3.0), {1: "box"}, regions=True, apex_first=False)
    assert {**forward[1], "region": "base"} == backward[3]
    assert {**forward[3], "region": "apex"} == backward[1]


def test_axial_axis_is_the_one_asked_for():
    prediction, label = two_cubes()
    turned = [np.moveaxis(volume, -1, 0) for volume in (prediction, label)]
    expected = case_metrics(prediction, label, (1.0, 1.0, 3.0), {1: "box"}, regions=True)
    assert case_metrics(*turned, (3.0, 1.0, 1.0), {1: "box"}, regions=True, axial_axis=0) == expected


def test_classes_are_measured_apart_and_named():
    prediction, label = two_cubes()
    label[0, 0, 0] = prediction[0, 0, 1] = 2
    rows = case_metrics(prediction, label, (1.0, 1.0, 3.0), {2: "point", 1: "box", 7: "absent"})
    assert [row["label"] for row in rows] == ["point", "box", "absent"]
    assert (rows[0]["dice"], rows[0]["asd_mm"], rows[0]["hd95_mm"]) == (0, 3, 3)
    assert rows[1] == case_metrics(prediction == 1, label == 1, (1.0, 1.0, 3.0), {1: "box"})[0]
    assert (rows[2]["dice"], rows[2]["asd_mm"], rows[2]["rvd_percent"], rows[2]["volume_ml"]) == (1, 0, 0, 0)


def test_a_region_without_prediction_is_measured_from_the_label():
    prediction, label = two_cubes()
    prediction[..., :4] = 0
    apex = case_metrics(prediction, label, (1.0, 1.0, 3.0), {1: "box"}, regions=True)[1]
    assert (apex["dice"], apex["rvd_percent"]) == (0, -100)
    # The label's end slice (16 voxels) is two slices from the prediction's, the rim of the next (12) one.
    assert apex["asd_mm"] == pytest.approx((16 * 6 + 12 * 3) / 28)
    assert apex["hd95_mm"] == 6


def test_a_region_without_label_is_measured_from_the_prediction():
    label = np.zeros((4, 4, 9), dtype=int)
    label[1:3, 1:3, 4] = 1  # one slice: all of it is the middle
    prediction = label.copy()
    prediction[1:3, 1:3, 2] = 1
    rows = case_metrics(prediction, label, (1.0, 1.0, 3.0), {1: "box"}, regions=True)
    apex, base = rows[1], rows[3]
    assert (apex["dice"], apex["asd_mm"], apex["hd95_mm"]) == (0, 6, 6)
    assert math.isnan(apex["rvd_percent"])
    assert (base["dice"], base["asd_mm"], base["hd95_mm"], base["rvd_percent"]) == (1, 0, 0, 0)


@pytest.mark.parametrize("empty", ["prediction", "label"])
def test_regions_of_a_case_with_one_mask_empty(empty):
    prediction, label = two_cubes()
    masks = {"prediction": prediction, "label": label, empty: np.zeros_like(label)}
    for row in case_metrics(**masks, spacing_mm=(1.0, 1.0, 3.0), classes={1: "box"}, regions=True):
        assert row["dice"] == 0
        assert math.isnan(row["asd_mm"])
        assert math.isnan(row["hd95_mm"])
        assert row["rvd_percent"] == pytest.approx(-100 if empty == "prediction" else math.nan, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": np.zeros((8, 8, 11))}, r"same shape, got \(8, 8, 11\) and \(8, 8, 12\)"),
        ({"spacing_mm": (1.0, 1.0)}, "spacing_mm must be 3 positive numbers"),
        ({"classes": {}}, "classes must name at least one label value"),
        ({"prediction": np.full((8, 8, 12), 0.5)}, "prediction must hold whole label numbers"),
    ],
)
def test_bad_input(change, message):
    prediction, label = two_cubes()
    arguments = {"prediction": prediction, "label": label, "spacing_mm": (1.0, 1.0, 3.0), "classes": {1: "box"}}
    with pytest.raises(ValueError, match=message):
        case_metrics(**{**arguments, **change})


def test_csv_gives_the_same_numbers_back(tmp_path):
    rows = [{"case": "a", "dice": np.float64(0.1) + 0.2, "asd_mm": np.float32(0.1), "slices": 3, "x": math.nan}]
    path = tmp_path / "folder" / "cases.csv"
    write_cases_csv(path, rows)
    assert path.read_text() == "case,dice,asd_mm,slices,x\na,0.30000000000000004,0.10000000149011612,3,nan\n"
    read = pd.read_csv(path)
    assert read["dice"][0] == rows[0]["dice"]
    write_cases_csv(path, read.to_dict("records"))
    assert path.read_text().splitlines()[1] == "a,0.30000000000000004,0.10000000149011612,3,nan"


def test_csv_quotes_and_keeps_the_first_rows_column_order(tmp_path):
    path = tmp_path / "cases.csv"
    write_cases_csv(path, [{"case": "a,b", "dice": 1.0}, {"dice": 0.5, "case": "c"}])
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["case", "dice"], ["a,b", "1.0"], ["c", "0.5"]]


def test_csv_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "cases.csv"
    write_cases_csv(path, [{"case": "old"}])

    def no_replace(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", no_replace)
    with pytest.raises(OSError, match="disk full"):
        write_cases_csv(path, [{"case": "new"}])
    assert path.read_text() == "case\nold\n"
    assert list(tmp_path.iterdir()) == [path]


def test_csv_refuses_nothing_and_ragged_rows(tmp_path):
    with pytest.raises(ValueError, match=r"at least one row to write .*cases\.csv"):
        write_cases_csv(tmp_path / "cases.csv", [])
    with pytest.raises(ValueError, match=r"row 1 for .*cases\.csv must have the columns \['a'\], got \['b'\]"):
        write_cases_csv(tmp_path / "cases.csv", [{"a": 1}, {"b": 2}])
    assert not list(tmp_path.iterdir())
