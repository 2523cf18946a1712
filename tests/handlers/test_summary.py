import json
import logging
import os
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from dam_components.data.case_reports import find_reports, read_reports
from dam_components.handlers import ReportSummary, write_summary
from dam_components.metrics import least_confident_first
from dam_components.transforms import CaseReportd


def write_report(folder, case, mean, review, classes=("gland",)):
    row = {"volume_ml": 40.0, "mean_confidence": 0.9, "predicted_dice": mean, "predicted_dice_low": None}
    report = {
        "case": case,
        "image": f"/images/{case}.nii.gz",
        "classes": dict.fromkeys(classes, row),
        "predicted_mean_dice": mean,
        "calibrated": False,
        "review": review,
        "reasons": ["one", "two"] if review else [],
        "remarks": ["D was trained for another S"] if review else [],
    }
    (folder / case).mkdir(exist_ok=True)
    (folder / case / f"{case}_report.json").write_text(json.dumps(report))


def test_what_needs_eyes_first_stands_first(tmp_path):
    for case, mean, review in (
        ("a", 0.9, False),
        ("b", 0.7, False),
        ("c", 0.95, True),
        ("d", 0.6, True),
        ("e", 0.6, True),
    ):
        write_report(tmp_path, case, mean, review)
    path = write_summary(tmp_path)
    assert path == tmp_path / "summary.csv"
    table = pd.read_csv(path)
    assert table["case"].tolist() == ["d", "e", "c", "b", "a"]
    assert list(table)[:6] == ["case", "review", "case_confidence", "predicted_mean_dice", "calibrated", "reasons"]
    assert table["reasons"][0] == "one; two"
    assert table["remarks"][0] == "D was trained for another S"
    assert table["gland predicted_dice"].tolist() == [0.6, 0.6, 0.95, 0.7, 0.9]
    assert table["gland predicted_dice_low"].isna().all()
    assert table["image"][0] == "/images/d.nii.gz"
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a", "b", "c", "d", "e", "index.html", "summary.csv"]


def test_numbers_have_the_digits_that_mean_something(tmp_path):
    write_report(tmp_path, "a", 0.123456789, False)
    assert ",0.12346," in write_summary(tmp_path).read_text()


def test_a_later_run_over_part_of_the_cases_keeps_the_others(tmp_path):
    write_report(tmp_path, "a", 0.9, False)
    write_report(tmp_path, "b", 0.7, True)
    write_summary(tmp_path)
    write_report(tmp_path, "a", 0.5, True)
    assert pd.read_csv(write_summary(tmp_path))["case"].tolist() == ["a", "b"]


def test_bad_and_foreign_files_are_left_out(tmp_path, caplog):
    write_report(tmp_path, "a", 0.9, False)
    for name, text in (("b", "{"), ("c", "[]"), ("d", '{"case": "d"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_report.json").write_text(text)
    (tmp_path / "a" / "other_report.json").write_text("{")
    with caplog.at_level(logging.ERROR):
        table = pd.read_csv(write_summary(tmp_path))
    assert table["case"].tolist() == ["a"]
    assert [f"{name}_report.json" in caplog.text for name in ("b", "c", "d", "other")] == [True, True, True, False]


def test_no_report_no_table(tmp_path):
    assert write_summary(tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cases", [0, 2])
def test_handler_writes_when_the_run_is_complete(tmp_path, caplog, cases):
    engine = Engine(lambda engine, item: write_report(tmp_path, item, 0.9, item == "c0"))
    ReportSummary(tmp_path).attach(engine)
    with caplog.at_level(logging.INFO):
        engine.run([f"c{i}" for i in range(cases)] or ["c9"], max_epochs=1)
    count = max(1, cases)
    assert len(pd.read_csv(tmp_path / "summary.csv")) == count
    assert f"{int(cases > 0)} of {count} cases are flagged for review" in caplog.text


def test_a_report_that_comes_while_the_table_is_written_is_in_it(tmp_path, monkeypatch):
    write_report(tmp_path, "a", 0.9, False)
    replace = os.replace

    def other_rank_ends_in_between(source, target):
        if not (tmp_path / "b").exists():
            write_report(tmp_path, "b", 0.8, False)
            (tmp_path / "summary.csv").write_text("the other's, about to be replaced")
        replace(source, target)

    monkeypatch.setattr(os, "replace", other_rank_ends_in_between)
    assert pd.read_csv(write_summary(tmp_path))["case"].tolist() == ["b", "a"]
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a", "b", "index.html", "summary.csv"]


def test_an_empty_segmentation_comes_first_everywhere(tmp_path):
    """Its structures are absent, and D is sure of that. In report, table, page and the next sample to label."""
    image = MetaTensor(torch.zeros(1, 8, 8, 8), meta={"filename_or_obj": "/images/x.nii.gz"})
    doubtful = torch.full((8, 8, 8), 0.1)
    doubtful[2:6, 2:6, 2:6] = 0.55
    half = torch.where(doubtful > 0.5, doubtful, 0)
    cases = {"sure": (doubtful > 0.5).float(), "bad": half, "empty": torch.zeros(8, 8, 8)}
    for name, foreground in cases.items():
        probabilities = torch.stack([1 - foreground, foreground])
        image.meta["filename_or_obj"] = f"/images/{name}.nii.gz"
        CaseReportd("pred", {"1": "gland"}, output_dir=tmp_path)(
            {"image": image, "pred": MetaTensor(probabilities), "confidence": probabilities.max(0, keepdim=True).values}
        )
    table = pd.read_csv(write_summary(tmp_path))
    assert table["case"].tolist() == ["empty", "bad", "sure"]
    assert table["case_confidence"].is_monotonic_increasing
    assert np.isnan(table["predicted_mean_dice"][0])
    page = (tmp_path / "index.html").read_text()
    assert "empty, no structure found" in page
    assert page.index("empty") < page.index("bad")
    reports = {report["case"]: report for report in read_reports(find_reports(tmp_path))}
    assert [*reports] == least_confident_first(dict(reversed(reports.items()))) == ["empty", "bad", "sure"]


def test_reports_of_an_earlier_version_are_ordered_alike(tmp_path):
    for case, mean, volume, review in (("a", 0.6, 40.0, True), ("b", 0.9994, 0.0, True), ("c", 0.9, 40.0, False)):
        write_report(tmp_path, case, mean, review)
        file = tmp_path / case / f"{case}_report.json"
        report = json.loads(file.read_text())
        report["classes"]["gland"]["volume_ml"] = volume
        file.write_text(json.dumps(report))
    assert pd.read_csv(write_summary(tmp_path))["case"].tolist() == ["b", "a", "c"]


def test_a_table_that_cannot_be_written_does_not_hide_why_the_run_failed(tmp_path, monkeypatch, caplog):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules[ReportSummary.__module__], "write_summary", no_space)
    with pytest.raises(RuntimeError, match="^the first$"):
        ReportSummary(str(tmp_path)).failed(None, RuntimeError("the first"))
    assert "no summary.csv could be written" in caplog.text
