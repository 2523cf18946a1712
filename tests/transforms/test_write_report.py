"""The report as the last of a case's files."""

import json

import torch
from monai.data import MetaTensor

from dam_components.transforms import CaseReportd, WriteReportd


def case():
    probabilities = torch.tensor([[[0.9, 0.2]], [[0.1, 0.8]]])
    return {
        "pred": MetaTensor(probabilities, affine=torch.eye(4)),
        "confidence": torch.ones(1, 1, 2),
        "image": MetaTensor(torch.zeros(1, 1, 2), meta={"filename_or_obj": "p7.nii.gz"}),
    }


def test_it_is_written_at_the_end_and_is_the_one_written_at_once(tmp_path):
    file = tmp_path / "p7" / "p7_report.json"
    CaseReportd("pred", {1: "lobe"}, output_dir=tmp_path)(case())
    at_once = file.read_text()
    data = CaseReportd("pred", {1: "lobe"}, output_dir=tmp_path, report_key="report")(case())
    assert not file.exists()  # the case is no longer finished
    data = WriteReportd("report")(data)
    assert file.read_text() == at_once
    assert json.loads(at_once)["case"] == "p7"
    assert "report" not in data
    assert data["result"]["lobe_predicted_dice"] == 1
    assert [f.name for f in file.parent.iterdir()] == ["p7_report.json"]


def test_a_servers_data_leave_no_report(tmp_path):
    chain = [CaseReportd("pred", {1: "lobe"}, output_dir=tmp_path, report_key="report"), WriteReportd("report")]
    data = {**case(), "image_path": "p7.nii.gz"}
    for transform in chain:
        data = transform(data)
    assert "report" not in data
    assert not list(tmp_path.iterdir())
