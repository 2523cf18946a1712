"""Requests that a server must refuse, on a live server: nothing is executed, read or written outside of the studies.

``label_app/check.sh`` runs this. ``DAM_ATTACK_TABLE`` names a file for the table of requests and answers.
"""

import http.client
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
from test_server import CASE, CASES, DATA, MODEL, PROJECT, Server, free_port, make_studies

TRACE = "executed_by_the_server"
ROWS: list[tuple[str, str, int, str]] = []


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("attacked"), free_port()
    studies = make_studies(folder / "studies")
    (folder / "secret.nii.gz").write_bytes((DATA / "imagesTr" / f"{CASES[5]}.nii.gz").read_bytes())
    (studies / "link.nii.gz").symlink_to(folder / "secret.nii.gz")
    command = [sys.executable, str(PROJECT / "label_app" / "serve.py"), str(studies), "--port", str(port)]
    server = Server(command, folder, port, folder / "label_workspace" / "app")
    server.folder, server.studies, server.port = folder, studies, port
    yield server
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    lines = ["# Attacks on the MONAI Label app, and its answers\n", "Written by `label_app/check.sh`.\n"]
    lines += ["| attack | request | status | answer |", "|---|---|---|---|"]
    lines += [f"| {what} | `{request}` | {status} | {answer} |" for what, request, status, answer in ROWS]
    if file := os.environ.get("DAM_ATTACK_TABLE"):
        Path(file).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def nothing_happens(server):
    before = files_of(server)
    yield
    assert not list(server.folder.rglob(f"{TRACE}*"))
    changed = {name for name, state in files_of(server).items() if before.get(name) != state}
    assert not changed, changed


def files_of(server):
    """All files around the server but its logs and its own list of the studies, by size and time."""
    quiet = (".log", "datastore_v2.json", ".lock")
    found = [file for file in server.folder.rglob("*") if file.is_file() and not file.name.endswith(quiet)]
    found = [file for file in found if file.parent.name != "uploads"]  # maps that a client may fetch
    return {str(file): (file.stat().st_size, file.stat().st_mtime) for file in found}


def refused(server, what, method, path, shown="", **options):
    """The request is answered with 4xx and one line."""
    answer = requests.request(method, server.address + path, timeout=120, **options)
    text = answer.text
    assert 400 <= answer.status_code < 500, f"{answer.status_code} {text[:300]}"
    detail = answer.json()["detail"]
    assert isinstance(detail, str)
    assert "\n" not in detail
    assert str(server.folder) not in detail
    assert "/tmp" not in detail
    said = shown or json.dumps(options.get("json") or options.get("params") or options.get("data") or "")
    ROWS.append(
        (what, f"{method.upper()} {path} {said}"[:150].replace("|", "/").replace("`", "'"), answer.status_code, detail)
    )
    return answer.status_code


CODE = [
    f"$__import__('os').system('touch {TRACE}')",
    f"$open('{TRACE}', 'w')",
    "@network",
    "%../../../etc/passwd",
]
PLACES = ["../x", "..%2fx", "/etc/passwd", "a/b", "..\\x", "x\0.nii", "a" * 300, "link/../x", "."]


@pytest.mark.parametrize("value", CODE)
@pytest.mark.parametrize(
    "name", ["overlap", "device", "model_filename", "result_extension", "label_tag", "image", "client_id"]
)
def test_code_in_a_parameter_of_inference(server, name, value):
    form = {"params": json.dumps({"device": "cpu", name: value})}
    assert (
        refused(server, "code", "post", f"/infer/{MODEL}", params={"image": CASE}, data=form, shown=form["params"])
        == 422
    )


@pytest.mark.parametrize("value", CODE)
@pytest.mark.parametrize(
    "name", ["max_epochs", "val_split", "device", "run_id", "gpus", "tracking_uri", "model_filename"]
)
def test_code_in_a_parameter_of_training(server, name, value):
    assert refused(server, "code", "post", f"/train/{MODEL}", json={"device": "cpu", name: value}) == 422


@pytest.mark.parametrize("value", CODE)
@pytest.mark.parametrize("path", [f"/batch/infer/{MODEL}", "/activelearning/confidence", "/activelearning/random"])
def test_code_in_the_other_requests(server, path, value):
    for name in ("device", "label_tag", "model", "gpus", "x"):
        assert refused(server, "code", "post", path, json={name: value}) == 422


@pytest.mark.parametrize("place", PLACES)
def test_a_path_as_an_image(server, place):
    form = {"params": json.dumps({"device": "cpu"})}
    assert refused(server, "path", "post", f"/infer/{MODEL}", params={"image": place}, data=form) in (404, 422)
    inside = {"params": json.dumps({"device": "cpu", "image": place})}
    refused(server, "path", "post", f"/infer/{MODEL}", params={"image": CASE}, data=inside)
    for path in ("/datastore/image", "/datastore/image/info"):
        refused(server, "path", "get", path, params={"image": place})
    refused(server, "path", "get", "/datastore/label", params={"label": place, "tag": "final"})
    refused(server, "path", "delete", "/datastore/image", params={"id": place})
    refused(server, "path", "delete", "/datastore/label", params={"id": place, "tag": "final"})


@pytest.mark.parametrize("place", PLACES)
def test_a_path_as_a_new_name(server, place):
    upload = ("x.nii.gz", (DATA / "imagesTr" / f"{CASE}.nii.gz").read_bytes())
    refused(server, "path", "put", "/datastore/", params={"image": place}, files={"file": upload})
    refused(server, "path", "put", "/datastore/image", params={"image": place}, files={"file": upload})
    refused(server, "path", "put", "/datastore/label", params={"image": CASE, "tag": place}, files={"label": upload})
    refused(server, "path", "put", "/datastore/label", params={"image": place, "tag": "final"}, files={"label": upload})
    refused(server, "path", "get", "/datastore/label", params={"label": CASE, "tag": place})


@pytest.mark.parametrize(
    "name", ["x.py", "model.pt", "train.json", "x.nii.gz/../../x.nii.gz", "x.dcm", "series.zip", ""]
)
def test_a_file_that_is_no_image(server, name):
    upload = (name, b"x") if name else ("x", b"x")
    form = {"params": json.dumps({"device": "cpu"})}
    assert (
        refused(server, "file", "put", "/datastore/image", params={"image": "x"}, files={"file": upload}, shown=name)
        == 422
    )
    assert refused(server, "file", "post", f"/infer/{MODEL}", data=form, files={"file": upload}, shown=name) == 422
    assert refused(server, "file", "put", "/session/", files={"files": upload}, shown=name) == 422


def test_an_archive_is_not_unpacked(server):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(f"../../{TRACE}", "x")
    for flag in ("true", "1"):
        files = {"files": ("x.nii.gz", archive.getvalue())}
        refused(server, "archive", "put", "/session/", params={"uncompress": flag}, files=files)


@pytest.mark.parametrize(
    "method, path",
    [
        ("put", f"/model/{MODEL}"),
        ("delete", f"/model/{MODEL}"),
        ("get", f"/model/{MODEL}"),
        ("post", "/reload"),
        ("post", "/train/"),
        ("post", f"/infer/wsi/{MODEL}"),
        ("post", f"/infer/wsi_v2/{MODEL}"),
        ("get", "/uploads/../../secret.nii.gz"),
        ("get", "/uploads/" + "0" * 32),
        ("get", "/nothing/here"),
        ("delete", f"/train/{MODEL}"),
    ],
)
def test_what_is_not_offered(server, method, path):
    assert refused(server, "closed", method, path) in (404, 405)


@pytest.mark.parametrize(
    "path", ["/static/%2e%2e/%2e%2e/etc/passwd", "/ohif/..%2f..%2fsecret", "/proxy/dicom/../../x", "/logs/../x"]
)
def test_paths_in_the_address_as_they_are_sent(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("GET", path, skip_host=False)  # requests would tidy the address up
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    assert 400 <= answer.status < 500
    assert b"root:" not in body
    ROWS.append(("path", f"GET {path}", answer.status, json.loads(body)["detail"]))


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}],
    ids=lambda headers: str(headers),
)
def test_a_page_of_another_site_gets_nothing(server, headers):
    """In the browser of somebody who has this server open."""
    form = {"params": json.dumps({"device": "cpu"})}
    for method, path, options in [
        ("get", "/datastore/?output=all", {}),
        ("get", f"/datastore/image?image={CASE}", {}),
        ("post", f"/infer/{MODEL}?image={CASE}", {"data": form}),
        ("delete", f"/datastore/label?id={CASE}&tag=final", {}),
        ("options", f"/train/{MODEL}", {}),
    ]:
        assert refused(server, "site", method, path, shown=json.dumps(headers), headers=headers, **options) == 403


def test_wrong_requests_are_one_line(server):
    form = {"params": json.dumps({"device": "cpu"})}
    assert refused(server, "wrong", "post", "/infer/nobody", params={"image": CASE}, data=form) == 404
    assert refused(server, "wrong", "post", "/activelearning/nobody", json={}) == 404
    assert refused(server, "wrong", "post", "/scoring/nobody", json={}) == 404
    assert refused(server, "wrong", "post", f"/infer/{MODEL}", params={"image": "nobody"}, data=form) == 404
    assert refused(server, "wrong", "post", f"/infer/{MODEL}", params={"image": CASE}, data={"params": "{"}) == 422
    assert (
        refused(server, "wrong", "post", f"/train/{MODEL}", data="{", headers={"Content-Type": "application/json"})
        == 422
    )
    assert refused(server, "wrong", "get", "/session/../x") == 404
    assert (
        refused(server, "wrong", "get", "/datastore/label", params=[("label", CASE), ("label", "x"), ("tag", "final")])
        == 422
    )


def label_file(folder, change, affine=None):
    label = nib.load(DATA / "labelsTr" / f"{CASE}.nii.gz")
    file = folder / "label.nii.gz"
    nib.save(nib.Nifti1Image(change(np.asarray(label.dataobj)), label.affine if affine is None else affine), file)
    return file.read_bytes()


@pytest.mark.parametrize(
    "why, change, affine",
    [
        ("has shape", lambda label: label[:-1], None),
        ("holds 5", lambda label: np.where(label == 2, 5, label).astype(np.uint8), None),
        ("lies elsewhere", lambda label: label, np.diag([-1.0, 1, 1, 1])),
        ("holds 0.5", lambda label: label / 2.0, None),
    ],
)
def test_a_label_that_does_not_fit_is_refused(server, tmp_path, why, change, affine):
    upload = {"label": (f"{CASE}.nii.gz", label_file(tmp_path, change, affine))}
    assert (
        refused(server, f"label {why}", "put", "/datastore/label", params={"image": CASE, "tag": "final"}, files=upload)
        == 422
    )
    assert why in ROWS[-1][3]


def test_a_label_that_is_no_image(server):
    upload = {"label": (f"{CASE}.nii.gz", b"no image")}
    assert (
        refused(server, "label", "put", "/datastore/label", params={"image": CASE, "tag": "final"}, files=upload) == 422
    )


def test_a_link_out_of_the_studies_gives_nothing_away(server):
    answer = requests.get(f"{server.address}/datastore/image", params={"image": "link"}, timeout=60)
    secret = (server.folder / "secret.nii.gz").read_bytes()
    assert answer.status_code >= 400 or answer.content != secret


def test_an_upload_is_removed_and_its_map_can_be_fetched(server, tmp_path):
    upload = {"file": ("patient.nii.gz", (DATA / "imagesTr" / f"{CASE}.nii.gz").read_bytes())}
    form = {"params": json.dumps({"device": "cpu"})}
    answer = server.ask("post", f"/infer/{MODEL}", params={"output": "json"}, data=form, files=upload).json()
    assert answer["confidence_map"].startswith("/uploads/")
    (tmp_path / "map.nii.gz").write_bytes(server.ask("get", answer["confidence_map"]).content)
    image = nib.load(DATA / "imagesTr" / f"{CASE}.nii.gz")
    assert nib.load(tmp_path / "map.nii.gz").shape == image.shape
    assert not [folder for folder in (server.models.parent / "output").glob("*") if folder.is_dir()]
