"""CaseMetrics: segmentations against label files, as rows and means."""

import logging

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from dam_components.handlers import CaseMetrics, case_metrics, summarise

NAMES = {"1": "prostate", "2": "rectum"}  # JSON knows only names as keys
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])


@pytest.fixture
def cases(tmp_path):
    """Two label files, and predictions: of the first case right, of the second one structure one voxel off."""
    label = np.zeros((8, 8, 9), np.uint8)
    label[2:6, 2:6, 0:6] = 1
    label[6:8, 6:8, 2:8] = 2
    shifted = label.copy()
    shifted[shifted == 1] = 0
    shifted[3:7, 2:6, 0:6] = 1  # three of four columns stay, so Dice is 3/4
    files = [tmp_path / f"{name}.nii.gz" for name in "ab"]
    for file in files:
        nib.save(nib.Nifti1Image(label, AFFINE), file)
    return [
        (file, torch.as_tensor(p[None].astype(np.float32))) for file, p in zip(files, (label, shifted), strict=True)
    ]


def evaluate(cases, handler, pred_key="pred", label_key="label", **known):
    def step(engine, item):
        file, prediction = item
        engine.state.batch = [{label_key: MetaTensor(torch.zeros(1), meta={"filename_or_obj": str(file), **known})}]
        return [{pred_key: prediction}]

    engine = Engine(step)
    handler.attach(engine)
    engine.run(cases)
    return engine.state.metrics


def test_a_row_a_case_and_class_and_the_means(cases, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "dam_components"):
        metrics = evaluate(cases, CaseMetrics(tmp_path / "out" / "metrics.csv", NAMES))
    rows = pd.read_csv(tmp_path / "out" / "metrics.csv")
    assert rows[["case", "label", "region"]].to_numpy().tolist() == [
        ["a", "prostate", "whole"],
        ["a", "rectum", "whole"],
        ["b", "prostate", "whole"],
        ["b", "rectum", "whole"],
    ]
    assert rows["dice"].tolist() == [1, 1, 0.75, 1]
    assert rows["reference_ml"].tolist() == pytest.approx([0.288, 0.072] * 2)  # 96 and 24 voxels of 3 mm3
    # two classes: (1 + 0.75) / 2 and 1; their mean 0.9375
    assert metrics == {"dice prostate": 0.875, "dice rectum": 1.0, "mean_dice": 0.9375}
    assert "mean over 2 cases" in caplog.text
    assert "mean Dice of the classes: 0.9375" in caplog.text


def test_a_case_has_the_name_that_its_list_gives_it(cases, tmp_path):
    evaluate(cases[:1], CaseMetrics(tmp_path / "metrics.csv", NAMES), case="IBSR_01")  # its label: IBSR_01_seg.nii.gz
    assert set(pd.read_csv(tmp_path / "metrics.csv")["case"]) == {"IBSR_01"}


def test_regions_are_added_and_stay_out_of_the_mean(cases, tmp_path):
    metrics = evaluate(cases, CaseMetrics(tmp_path / "metrics.csv", NAMES, regions=True))
    rows = pd.read_csv(tmp_path / "metrics.csv")
    assert rows["region"].unique().tolist() == ["whole", "apex", "middle", "base"]
    assert len(rows) == 16
    assert metrics["mean_dice"] == 0.9375
    assert metrics["dice prostate apex"] == 0.875


@pytest.mark.parametrize("regions", [False, True])
def test_slices_may_be_stored_sagittally(cases, tmp_path, regions):
    """As many T1 scans are: the last axis runs from left to right, and the case is the same."""

    def stored(volume):
        return np.moveaxis(np.asarray(volume), 0, -1)

    affine = np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 1]])
    assert nib.aff2axcodes(affine) == ("A", "S", "R")
    sagittal = []
    for file, prediction in cases:
        other = tmp_path / "sagittal" / file.name
        other.parent.mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(stored(nib.load(file).dataobj), affine), other)
        sagittal.append((other, torch.as_tensor(stored(prediction[0]).copy())[None]))
    tables = []
    for name, stack in (("axial", cases), ("sagittal", sagittal)):
        evaluate(stack, CaseMetrics(tmp_path / f"{name}.csv", NAMES, regions=regions))
        tables.append(pd.read_csv(tmp_path / f"{name}.csv"))
    pd.testing.assert_frame_equal(*tables)


def test_keys_are_options_and_a_second_run_starts_anew(cases, tmp_path):
    handler = CaseMetrics(tmp_path / "metrics.csv", NAMES, label_key="truth", pred_key="found")
    for _ in range(2):
        evaluate(cases, handler, pred_key="found", label_key="truth")
    assert len(pd.read_csv(tmp_path / "metrics.csv")) == 4


def test_a_prediction_that_was_not_inverted_is_refused(cases, tmp_path):
    file, prediction = cases[0]
    with pytest.raises(ValueError, match=r"shape \(8, 8, 5\), its label .*a.nii.gz \(8, 8, 9\); invert the prediction"):
        evaluate([(file, prediction[..., :5])], CaseMetrics(tmp_path / "metrics.csv", NAMES))
    assert not (tmp_path / "metrics.csv").exists()


def test_summary_leaves_nan_out_and_keeps_the_order():
    rows = pd.DataFrame(
        [("a", "z", "whole", 0.5, np.nan), ("a", "b", "whole", 1.0, 1.0), ("b", "z", "whole", 0.7, 2.0)],
        columns=["case", "label", "region", "dice", "asd_mm"],
    )
    table = summarise(rows)
    assert [label for label, _ in table.index] == ["z", "b"]
    assert table.loc[("z", "whole")].tolist() == pytest.approx([0.6, 2.0])


def test_the_apex_is_found_from_the_affine(cases, tmp_path):
    """Stored from head to foot, slice 0 is the base: the same volume with its last axis flipped has the same rows."""
    flip = AFFINE.copy()
    flip[2, 2], flip[2, 3] = -3.0, 24.0
    flipped = []
    for file, prediction in cases:
        other = tmp_path / f"flipped_{file.name}"
        nib.save(nib.Nifti1Image(np.asarray(nib.load(file).dataobj)[..., ::-1], flip), other)
        damaged = prediction.clone()
        damaged[..., 0] = 0  # the lowest slice of the first structure, which is its apex, is missed
        flipped.append(((file, damaged), (other, damaged.flip(-1))))
    tables = []
    for side in (0, 1):
        csv = tmp_path / f"{side}.csv"
        evaluate([pair[side] for pair in flipped], CaseMetrics(csv, NAMES, regions=True))
        tables.append(pd.read_csv(csv).drop(columns="case"))
    pd.testing.assert_frame_equal(*tables)
    dice = tables[0][tables[0]["label"] == "prostate"].groupby("region")["dice"].max()
    assert dice["apex"] < 1
    assert dice["middle"] == dice["base"] == 1


def test_cases_of_all_ranks_come_together_each_once(cases, tmp_path, monkeypatch):
    one = evaluate(cases, CaseMetrics(tmp_path / "one.csv", NAMES))
    other = {}  # what rank 1 found: the second case, and the first again, to have as many as rank 0
    monkeypatch.setattr(case_metrics, "gather_from_ranks", lambda mine: other.update(mine) or [mine])
    evaluate(cases[::-1], CaseMetrics(tmp_path / "unused.csv", NAMES))
    monkeypatch.setattr(case_metrics, "gather_from_ranks", lambda mine: [mine, other])
    assert evaluate(cases[:1], CaseMetrics(tmp_path / "two.csv", NAMES)) == one
    assert (tmp_path / "two.csv").read_text() == (tmp_path / "one.csv").read_text()


def test_only_rank_0_writes(cases, tmp_path, caplog):
    engine = Engine(lambda engine, item: None)
    handler = CaseMetrics(tmp_path / "metrics.csv", NAMES)
    handler.cases = {"a": [{"case": "a", "label": "prostate", "region": "whole", "dice": 0.5}]}
    engine.state.rank = 1
    with caplog.at_level(logging.INFO, "dam_components"):
        handler.write(engine)
    assert engine.state.metrics["mean_dice"] == 0.5
    assert not list(tmp_path.glob("*.csv"))
    assert not caplog.text
