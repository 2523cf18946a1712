import json

from dam_components.data.dataset_layouts import read_dataset
from dam_components.data.finding import Finding
from dam_components.planning.data_report import report_json, report_markdown
from dam_components.planning.dataset_check import check_dataset
from dam_components.planning.fingerprint import make_fingerprint
from dam_components.planning.plan import make_plan


def test_reports_hold_findings_fingerprint_and_plan(decathlon):
    dataset = read_dataset(decathlon)
    surveys, _ = check_dataset(dataset, progress=False)
    fingerprint = make_fingerprint(surveys, ["MRI"], {1: "block"})
    plan = make_plan(fingerprint)
    findings = [Finding("note", "b", "is odd"), Finding("warning", "a", "is bad", "mend it")]
    text = report_markdown(dataset, fingerprint, plan, findings)
    # warnings before notes; the block is 18 of 384 voxels
    for line in (
        "# Tiny: data and plan\n",
        "- warning: a is bad: mend it\n- note: b is odd\n",
        "| spacing, mm | 1 x 1 x 1 | 1 x 1 x 1 | 1 x 1 x 1 |",
        "| voxels | 8 x 8 x 6 |",
        "| 1 block | 4.6875% | 4 | 100.0% |",
        "| MRI, in the structures |",
        "| patch_size | [8, 8, 6] |",
    ):
        assert line in text
    assert "None." in report_markdown(dataset, fingerprint, plan, [])
    content = json.loads(json.dumps(report_json(dataset, fingerprint, plan, findings)))
    assert content["findings"][1] == {"level": "warning", "where": "a", "what": "is bad", "remedy": "mend it"}
    assert content["plan"]["patch_size"] == [8, 8, 6]
    assert content["fingerprint"]["cases"] == 4
    assert (content["layout"], content["data"]) == ("decathlon", str(decathlon))
