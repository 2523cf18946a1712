import json
import os
from urllib.parse import quote

import nibabel as nib
import numpy as np
import pytest

from dam_components.review.server import PAGE

B = "b%20%231%252f"  # the case "b #1%2f" in an address


def test_the_worklist_has_what_needs_eyes_first_at_the_top(server):
    answer = json.loads(server.ask("GET", f"{server.root}/cases.json").body)
    assert [case["case"] for case in answer["cases"]] == ["b #1%2f", "c", "a"]
    dice = [case["predicted_mean_dice"] for case in answer["cases"]]
    assert dice == sorted(dice)
    assert [case["picture"] for case in answer["cases"]] == [False, False, True]


def test_a_case_s_files(server):
    case = f"{server.root}/cases/{B}"
    image = nib.Nifti1Image.from_bytes(server.ask("GET", f"{case}/image.nii").body)
    stored = nib.load(server.folder.parent / "images" / "b #1%2f.nii.gz")
    np.testing.assert_array_equal(image.get_fdata(), stored.get_fdata())
    np.testing.assert_allclose(image.affine, stored.affine)
    segmentation = nib.Nifti1Image.from_bytes(server.ask("GET", f"{case}/segmentation.nii").body)
    assert segmentation.header.get_intent()[0] == "label"
    doubt = nib.Nifti1Image.from_bytes(server.ask("GET", f"{case}/doubt.nii").body).get_fdata()
    confidence = nib.load(server.folder / "b #1%2f" / "b #1%2f_confidence.nii.gz").get_fdata()
    np.testing.assert_allclose(doubt, 1 - confidence, atol=1e-6)
    places = json.loads(server.ask("GET", f"{case}/places.json").body)
    assert places[0]["doubt"] >= 0.5
    assert server.ask("GET", f"{server.root}/cases/a/picture.png").body.startswith(b"\x89PNG")
    assert server.ask("GET", f"{case}/picture.png").status == 404


def test_a_case_whose_report_is_away_is_left_out_of_the_worklist(server):
    known = [case["case"] for case in json.loads(server.ask("GET", f"{server.root}/cases.json").body)["cases"]]
    report = server.folder / "a" / "a_report.json"
    content = report.read_bytes()
    outside = server.folder.parent / "outside_report.json"
    outside.write_bytes(content)
    report.unlink()
    report.symlink_to(outside)
    try:
        answer = server.ask("GET", f"{server.root}/cases.json")
    finally:
        report.unlink()
        report.write_bytes(content)
    assert answer.status == 200
    assert [case["case"] for case in json.loads(answer.body)["cases"]] == [case for case in known if case != "a"]


def test_the_page_and_niivue(server):
    for path, start in (("/", b"<!doctype html>"), ("/page/main.js", b"//"), ("/niivue.js", b"")):
        answer = server.ask("GET", server.root + path)
        assert answer.status == 200
        assert answer.body.startswith(start)
    assert len(server.ask("GET", f"{server.root}/niivue.js").body) > 1e6


def test_every_answer_keeps_the_page_to_itself(server):
    for path in ("/", f"{server.root}/", f"{server.root}/cases.json", f"{server.root}/cases/nobody/image.nii"):
        headers = {key.lower(): value for key, value in server.ask("GET", path).headers.items()}
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_page_names_no_other_machine():
    for file in PAGE.iterdir():
        lines = [line for line in file.read_text().splitlines() if "http" in line and not line.startswith("//")]
        assert not lines, f"{file.name}: {lines}"
    assert " style=" not in (PAGE / "index.html").read_text()  # the policy forbids it
    assert " on" not in (PAGE / "index.html").read_text().replace(" on ", "").replace(" or", "")


@pytest.fixture
def secret(server):
    """A file beside the results that nobody may see, links to it, and a case whose report names it as its image."""
    file = server.folder.parent / "secret.nii.gz"
    file.write_bytes(b"SECRET")
    links = server.folder / "a" / "a_review.png", server.folder / "c" / "c_confidence.nii.gz"
    kept = [link.read_bytes() for link in links]
    for link in links:
        link.unlink()
        link.symlink_to(file)
    yield file
    for link, content in zip(links, kept, strict=True):
        link.unlink()
        link.write_bytes(content)


ATTACKS = [
    "/", "/cases.json", "/TOKEN", "//TOKEN/../cases.json", "/wrong/cases.json", "/tokenofthistest/cases.json",
    "{root}/../../secret.nii.gz", "{root}/cases/../secret.nii.gz", "{root}/cases/..%2f..%2fsecret.nii.gz/image.nii",
    "{root}/cases/../image.nii", "{root}/cases/%2e%2e/image.nii", "{root}/cases/./image.nii", "{root}/cases//image.nii",
    "{root}/cases/a%2f../image.nii", "{root}/cases/a%00/image.nii", "{root}/cases/a%00.nii/image.nii",
    "{root}/cases/{absolute}/image.nii", "{root}/cases/%252e%252e%252fsecret/image.nii",
    "{root}/cases/..%5csecret/image.nii",
    "{root}/cases/a/picture.png", "{root}/cases/c/doubt.nii", "{root}/cases/c/places.json",
    "{root}/page/../server.py", "{root}/page/%2e%2e/server.py", "{root}/page/..%2fserver.py", "{root}/page/{absolute}",
    "{root}/page//etc/passwd", "{root}/page/%00", "{root}/niivue.js/../../x", "{root}/review.csv", "{root}/summary.csv",
    "{root}/cases/a/a_seg.nii.gz", "{root}/cases/" + "a" * 5000 + "/image.nii", "{root}/cases/%ff%fe/image.nii",
]  # fmt: skip


@pytest.mark.parametrize("path", ATTACKS)
def test_nothing_else_is_served(server, secret, path):
    answer = server.ask("GET", path.format(root=server.root, absolute=quote(str(secret), safe="")))
    assert answer.status in (400, 404), answer.body[:200]
    assert b"SECRET" not in answer.body
    assert b"import" not in answer.body
    assert b"root:" not in answer.body


def test_an_image_is_sent_only_if_it_is_one(server):
    report = server.folder / "c" / "c_report.json"
    before = report.read_text()
    content = json.loads(before)
    for image, status in (("/etc/passwd", 422), (str(PAGE / "main.js"), 422), ("/nowhere/c.nii.gz", 404), ("\0", 404)):
        report.write_text(json.dumps({**content, "image": image}))
        server.ask("GET", f"{server.root}/cases.json")  # the page is loaded again
        answer = server.ask("GET", f"{server.root}/cases/c/image.nii")
        assert answer.status == status, (image, answer.body[:200])
        assert "error" in json.loads(answer.body), image
        assert b"root:" not in answer.body
        assert b"import" not in answer.body
    report.write_text(before)
    server.ask("GET", f"{server.root}/cases.json")


@pytest.mark.parametrize("host, status", [("evil.example", 400), ("127.0.0.1:99", 200), ("localhost", 200)])
def test_another_name_for_this_machine_is_refused(server, host, status):
    assert server.ask("GET", f"{server.root}/cases.json", headers={"Host": host}).status == status


def test_a_verdict_reaches_the_table(server):
    address = f"{server.root}/cases/{B}/verdict"
    row = server.ask("POST", address, {"verdict": "accept", "note": 'two\nlines, "ä"', "seen": 0})
    assert row.status == 200
    told = json.loads(server.ask("GET", f"{server.root}/cases.json").body)
    assert told["verdicts"]["b #1%2f"] == json.loads(row.body)
    assert told["verdicts"]["b #1%2f"]["note"] == 'two\nlines, "ä"'
    assert told["verdicts"]["b #1%2f"]["result"] == told["cases"][0]["result"]
    other = server.ask("POST", address, {"verdict": "needs correction", "note": "", "seen": 0})
    assert other.status == 409
    assert json.loads(other.body)["row"]["verdict"] == "accept"


GOOD = {"verdict": "accept", "note": "", "seen": 0}
WRONG = [
    (b"{", 422), (b"[]", 422), (b"\xff", 422), (b"", 422), ({**GOOD, "seen": "0"}, 422),
    ({**GOOD, "verdict": "maybe"}, 422),
    ({**GOOD, "verdict": ["accept"]}, 422), ({**GOOD, "note": "x" * 4001}, 422), ({**GOOD, "case": "b"}, 422),
    ({**GOOD, "note": "x" * 70000}, 413), ({"verdict": "accept"}, 422),
]  # fmt: skip


@pytest.mark.parametrize("body, status", WRONG)
def test_a_wrong_verdict_writes_nothing(server, body, status):
    answer = server.ask("POST", f"{server.root}/cases/a/verdict", body)
    assert answer.status == status, answer.body
    assert "\n" not in json.loads(answer.body)["error"]
    table = server.folder / "review.csv"
    assert not table.exists() or "a," not in table.read_text()


def test_a_verdict_on_no_case_and_a_folder_that_cannot_be_written(server, monkeypatch):
    assert server.ask("POST", f"{server.root}/cases/nobody/verdict", GOOD).status == 404
    assert server.ask("GET", f"{server.root}/cases/a/verdict").status == 405

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    answer = server.ask("POST", f"{server.root}/cases/a/verdict", GOOD)
    assert answer.status == 503
    assert b"No space left" in answer.body


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_case, serve):
    """A model's folder as dam train leaves it, on a live server."""
    model = tmp_path_factory.mktemp("trained") / "model"
    for case, seed in (("a", 1), ("b", 11)):
        write_case(model / "training" / "test_cases", model.parent / "images", case, seed)
    (model / "index.html").write_text("<!doctype html><title>curves</title>")
    (model / "training" / "evaluation").mkdir()
    rows = ["case,label,region,dice", "a,x,whole,0.5", "a,y,whole,0.7", "a,x,apex,0", "b,x,whole,0.9", "b,y,whole,"]
    (model / "training" / "evaluation" / "metrics.csv").write_text("\n".join(rows) + "\n")
    with serve(model) as running:
        yield running


def test_a_model_s_folder_shows_its_test_cases_and_its_page(trained):
    told = json.loads(trained.ask("GET", f"{trained.root}/cases.json").body)
    assert (told["folder"], told["model"]) == ("model", True)
    assert {case["case"]: round(case["dice"], 6) for case in told["cases"]} == {"a": 0.6, "b": 0.9}
    page = trained.ask("GET", f"{trained.root}/model.html")
    assert page.body == b"<!doctype html><title>curves</title>"
    policies = [value for key, value in page.headers.items() if key.lower() == "content-security-policy"]
    assert len(policies) == 1
    assert "script-src" not in policies[0]
    assert trained.ask("GET", f"{trained.root}/cases/a/image.nii").status == 200


def test_a_model_s_page_that_leads_out_is_refused(trained, server):
    page = trained.folder / "index.html"
    kept = page.read_text()
    outside = trained.folder.parent / "outside.html"
    outside.write_text("SECRET")
    page.unlink()
    page.symlink_to(outside)
    assert trained.ask("GET", f"{trained.root}/model.html").status == 404
    page.unlink()
    page.write_text(kept)
    told = json.loads(server.ask("GET", f"{server.root}/cases.json").body)
    assert not told["model"]
    assert {case["dice"] for case in told["cases"]} == {None}
    assert server.ask("GET", f"{server.root}/model.html").status == 404
