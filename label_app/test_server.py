"""A real server on real cases: label_app/check.sh makes the environment and runs this."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import nibabel as nib
import numpy as np
import pytest
import requests
import serve
import torch

PROJECT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ["DAM_DATA"]) / "Task04_Hippocampus"
CASES = sorted(file.name.removesuffix(".nii.gz") for file in (DATA / "imagesTr").glob("hippo*.nii.gz"))[:6]
LABELLED, CASE, SPOILT = CASES[:3], CASES[3], CASES[5]
MODEL = "hippocampus"
MEASURED: list[tuple[str, str]] = []


def measured(what, value):
    MEASURED.append((what, value))


def voxels(file):
    return np.asarray(nib.load(file).dataobj)


def dice(segmentation, case):
    reference = voxels(DATA / "labelsTr" / f"{case}.nii.gz")
    pairs = [(segmentation == label, reference == label) for label in (1, 2)]
    return float(np.mean([2 * (p & r).sum() / (p.sum() + r.sum()) for p, r in pairs]))


class Server:
    """A server process and its REST interface."""

    def __init__(self, command, folder, port, workspace, ready="/info/"):
        self.ready = ready
        self.address = f"http://127.0.0.1:{port}"
        self.models = workspace / "model" / MODEL / "models"
        self.log = folder / "server.log"
        start = time.monotonic()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() - start < 300, self.log.read_text()[-3000:]
            time.sleep(1)
        self.seconds = time.monotonic() - start

    def answers(self):
        try:
            return requests.get(f"{self.address}{self.ready}", timeout=60).ok
        except requests.ConnectionError:
            return False

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=60)

    def ask(self, method, path, **options):
        answer = requests.request(method, self.address + path, timeout=600, **options)
        assert answer.ok, f"{path}: {answer.text}\n{self.log.read_text()[-3000:]}"
        return answer

    def infer(self, image, output="json", **params):
        form = {"params": json.dumps({"device": "cpu", **params})}
        return self.ask("post", f"/infer/{MODEL}", params={"image": image, "output": output}, data=form)

    def next_sample(self):
        return self.ask("post", "/activelearning/confidence", json={}).json()

    def train(self, **request):
        before = {file.name: file.stat().st_mtime for file in self.models.glob("*.pt")}
        self.ask("post", f"/train/{MODEL}", json={"device": "cpu", "multi_gpu": False, "max_epochs": 1, **request})
        while (task := self.ask("get", "/train/").json())["status"] in ("SUBMITTED", "RUNNING"):
            time.sleep(1)
        assert task["status"] == "DONE", task
        for name, written in before.items():
            assert (self.models / name).stat().st_mtime > written, f"the training wrote no {name}"

    def weights(self, name):
        state = torch.load(self.models / name, weights_only=True)
        return torch.cat([value.flatten().double() for value in state.values()])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_studies(folder):
    """Three images with labels, three without, one of those drowned in noise."""
    (folder / "labels" / "final").mkdir(parents=True)
    for case in CASES:
        shutil.copy(DATA / "imagesTr" / f"{case}.nii.gz", folder)
    for case in LABELLED:
        shutil.copy(DATA / "labelsTr" / f"{case}.nii.gz", folder / "labels" / "final")
    file = folder / f"{SPOILT}.nii.gz"
    image = nib.load(file)
    clean = image.get_fdata()
    noise = np.random.default_rng(0).normal(0, 2 * clean.std(), clean.shape)
    nib.save(nib.Nifti1Image((clean + noise).astype(np.float32), image.affine), file)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    studies = make_studies(folder / "studies")
    command = [sys.executable, str(PROJECT / "label_app" / "serve.py"), str(studies), "--port", str(port)]
    server = Server(command, folder, port, folder / "label_workspace" / "app")
    server.studies, server.port = studies, port
    measured("start of the server, s", f"{server.seconds:.0f}")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def command_line(tmp_path_factory):
    """What `monai.bundle run` gives for the case."""
    folder = tmp_path_factory.mktemp("command_line")
    (folder / "images").mkdir()
    shutil.copy(DATA / "imagesTr" / f"{CASE}.nii.gz", folder / "images")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", PROJECT / "bundle/configs/inference.json"]
    command += ["--dataset_dir", folder / "images", "--output_dir", folder / "output"]
    subprocess.run([str(word) for word in command], check=True, cwd=folder, capture_output=True)
    files = {kind: folder / "output" / CASE / f"{CASE}_{kind}.nii.gz" for kind in ("seg", "confidence")}
    report = json.loads((folder / "output" / CASE / f"{CASE}_report.json").read_text())
    return SimpleNamespace(segmentation=voxels(files["seg"]), confidence=voxels(files["confidence"]), report=report)


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    width = max(len(what) for what, _ in MEASURED)
    print("\n\n" + "\n".join(f"{what:<{width}}  {value}" for what, value in MEASURED))


def test_a_served_case_equals_the_command_lines(server, command_line, tmp_path):
    start = time.monotonic()
    server.infer(CASE)
    measured("first inference over REST, s", f"{time.monotonic() - start:.1f}")
    start = time.monotonic()
    params = server.infer(CASE).json()
    measured("second inference over REST, s", f"{time.monotonic() - start:.1f}")
    (tmp_path / "served.nii.gz").write_bytes(server.infer(CASE, "image").content)
    segmentation = voxels(tmp_path / "served.nii.gz")
    served, local = dice(segmentation, CASE), dice(command_line.segmentation, CASE)
    measured(f"Dice of {CASE}, served", f"{served:.4f}")
    measured(f"Dice of {CASE}, command line", f"{local:.4f}")
    assert served > 0.7
    assert served == pytest.approx(local, abs=1e-3)
    report = command_line.report
    assert params["review"] == report["review"]
    assert params["predicted_mean_dice"] == pytest.approx(report["predicted_mean_dice"], abs=1e-4)
    for name, row in report["classes"].items():
        for quantity in ("volume_ml", "predicted_dice", "predicted_dice_low", "predicted_dice_high"):
            assert params[f"{name.replace(' ', '_')}_{quantity}"] == pytest.approx(row[quantity], abs=1e-4)
    measured("predicted mean Dice, served", f"{params['predicted_mean_dice']:.4f}")


def test_the_confidence_map_can_be_fetched_at_its_address(server, command_line, tmp_path):
    address = server.infer(CASE).json()["confidence_map"]
    (tmp_path / "map.nii.gz").write_bytes(server.ask("get", address).content)
    np.testing.assert_allclose(voxels(tmp_path / "map.nii.gz"), command_line.confidence, atol=1e-4)
    fetched = server.ask("get", "/datastore/label", params={"label": CASE, "tag": "confidence"})
    (tmp_path / "again.nii.gz").write_bytes(fetched.content)
    np.testing.assert_array_equal(voxels(tmp_path / "again.nii.gz"), voxels(tmp_path / "map.nii.gz"))


def test_the_lines_for_slicer_fetch_the_map(server, command_line):
    """The documentation's lines as they are, with a stand-in for Slicer, which gets the file to load."""
    server.infer(CASE)
    page = (PROJECT / "docs" / "monai_label.md").read_text(encoding="utf-8")
    (lines,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "slicer" in block]
    slicer = MagicMock()
    exec(lines.replace("http://127.0.0.1:8000", server.address).replace('"CASE"', f'"{CASE}"'), {"slicer": slicer})
    (file,) = slicer.util.loadVolume.call_args.args
    np.testing.assert_allclose(voxels(file), command_line.confidence, atol=1e-4)
    assert nib.load(file).affine == pytest.approx(nib.load(DATA / "imagesTr" / f"{CASE}.nii.gz").affine, abs=1e-4)
    volume = slicer.util.loadVolume.return_value
    slicer.util.setSliceViewerLayers.assert_called_once_with(foreground=volume, foregroundOpacity=0.4)


def test_the_strategy_offers_the_least_confident_unlabelled_case(server):
    start = time.monotonic()
    sample = server.next_sample()
    measured("next sample, two of three images not judged before, s", f"{time.monotonic() - start:.1f}")
    unlabelled = [case for case in CASES if case not in LABELLED]
    predicted = {case: server.infer(case).json()["case_confidence"] for case in unlabelled}
    measured("case confidence, unlabelled", ", ".join(f"{value:.2f}" for value in sorted(predicted.values())))
    assert sample["id"] == min(predicted, key=predicted.get) == SPOILT
    assert (sample["judged"], sample["unlabelled"]) == (3, 3)
    assert sample["case_confidence"] == pytest.approx(predicted[SPOILT])
    start = time.monotonic()
    assert server.next_sample()["id"] == SPOILT
    measured("next sample, all judged, s", f"{time.monotonic() - start:.1f}")


@pytest.mark.parametrize("val_split", [0, 0.34])
def test_training_goes_on_with_both_networks_and_is_served_at_once(server, val_split):
    before = {name: server.weights(name) for name in ("model.pt", "model_confidence.pt")}
    params = server.infer(CASE).json()
    start = time.monotonic()
    server.train(val_split=val_split)
    measured(f"1 epoch, val_split {val_split}, s", f"{time.monotonic() - start:.0f}")
    for name, weights in before.items():
        moved = float((server.weights(name) - weights).norm() / weights.norm())
        measured(f"{name} moved, of its norm, val_split {val_split}", f"{moved:.3f}")
        assert 0 < moved < 0.3  # of two random initialisations it is above 1
    after = server.infer(CASE).json()
    key = "anterior_hippocampus_mean_confidence"
    measured(f"mean confidence, anterior, val_split {val_split}", f"{params[key]:.3f}, then {after[key]:.3f}")
    assert after[key] != params[key]
    assert after[key] == pytest.approx(params[key], abs=0.2)


def test_a_case_with_a_final_label_is_not_offered_again(server):
    with (DATA / "labelsTr" / f"{SPOILT}.nii.gz").open("rb") as label:
        files = {"label": (f"{SPOILT}.nii.gz", label)}
        server.ask("put", "/datastore/label", params={"image": SPOILT, "tag": "final"}, files=files)
    sample = server.next_sample()
    assert sample["id"] != SPOILT
    assert sample["unlabelled"] == 2


def test_the_stock_app_serves_and_trains_the_bundle(tmp_path, monkeypatch):
    (tmp_path / "first").mkdir()  # the stock app has no remedy for a torchvision that is not built for this PyTorch
    shutil.copy(PROJECT / "dam_components" / "torchvision_operators.py", tmp_path / "first" / "sitecustomize.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "first"))
    label, port, app = [sys.executable, "-m", "monailabel.main"], free_port(), tmp_path / "monaibundle"
    subprocess.run([*label, "apps", "--download", "--name", "monaibundle", "--output", str(tmp_path)], check=True)
    shutil.copytree(PROJECT / "bundle", app / "model" / MODEL, ignore=shutil.ignore_patterns("output"))
    studies = make_studies(tmp_path / "studies")
    conf = [*("--conf", "models", MODEL), *("--conf", "sam2", "false"), *("--conf", "zoo_source", "local")]
    command = [*label, "start_server", "-a", app, "-s", studies, *conf, "-i", "127.0.0.1", "-p", port]
    server = Server([str(word) for word in command], tmp_path, port, app)
    try:
        before = server.weights("model_confidence.pt")
        assert Path(server.infer(CASE).json()["confidence_map"]).is_file()
        server.train(val_split=0.34)
        moved = float((server.weights("model_confidence.pt") - before).norm() / before.norm())
        measured("stock app: model_confidence.pt moved, of its norm", f"{moved:.3f}")
        assert 0 < moved < 0.3
    finally:
        server.stop()


def line_of(*arguments, **options):
    """The one line that ``serve`` ends with."""
    with pytest.raises(SystemExit) as stopped:
        serve.serve(*arguments, **options)
    line = stopped.value.code
    assert line.startswith("error: ")
    assert "\n" not in line
    return line


def test_a_port_in_use_is_one_line(server, tmp_path):
    line = line_of(str(server.studies), port=server.port, workspace=str(tmp_path))
    assert f"cannot listen at 127.0.0.1:{server.port} (Address already in use); name another with --port" in line


def test_monai_label_missing_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "MONAI Label is not installed here" in line_of(str(tmp_path))


def test_other_mistakes_are_one_line(tmp_path):
    port = free_port()
    assert "no folder nowhere" in line_of("nowhere", port=port)
    assert "name must be without deepedit" in line_of(str(tmp_path), name="prostate_detection", port=port)
    options = {"workspace": str(tmp_path / "w"), "port": port}
    assert "no configs/inference.json" in line_of(str(tmp_path), bundle=str(tmp_path), **options)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.json").touch()
    assert "has no models/model.pt" in line_of(str(tmp_path), bundle=str(tmp_path), **options)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").touch()
    assert "has no models/model_confidence.pt" in line_of(str(tmp_path), bundle=str(tmp_path), **options)


def test_a_workspace_says_what_it_is_a_copy_of(server, tmp_path):
    workspace = server.models.parents[3]
    options = {"workspace": str(workspace), "port": free_port()}
    line = line_of(str(server.studies), bundle=str(tmp_path), **options)
    assert f"is a copy of {PROJECT / 'bundle'}: to serve {tmp_path}, name another --workspace or --name" in line


def refused(server, method, path, status, **options):
    """The one line that a client gets."""
    answer = requests.request(method, server.address + path, timeout=600, **options)
    assert answer.status_code == status, answer.text
    return answer.json()["detail"]


def test_what_is_wrong_with_a_request_comes_back_as_one_line(server):
    path, form = f"/infer/{MODEL}", {"params": json.dumps({"device": "cpu"})}
    line = refused(server, "post", path, 404, params={"image": "nobody", "output": "json"}, data=form)
    assert line == "no image nobody among the studies: GET /datastore/?output=all lists them"
    weights = {"params": json.dumps({"device": "cpu", "model_filename": "model_confidence.pt"})}
    line = refused(server, "post", path, 422, params={"image": CASE, "output": "json"}, data=weights)
    assert line == "model_filename must be one of model.pt"
    assert server.ask("get", "/info/").json()["models"][MODEL]["config"]["model_filename"] == ["model.pt"]


def test_a_bad_image_is_named_and_does_not_stop_the_rest(server):
    good = nib.load(DATA / "imagesTr" / f"{CASE}.nii.gz")
    bad = server.studies / "a_bad_image.nii.gz"  # the first in order
    nib.save(nib.Nifti1Image(np.stack([good.get_fdata()] * 4, -1).astype(np.float32), good.affine), bad)
    name = bad.name.removesuffix(".nii.gz")
    until = time.monotonic() + 60
    while name not in server.ask("get", "/datastore/", params={"output": "all"}).text and time.monotonic() < until:
        time.sleep(1)  # the server looks for new files now and then
    form = {"params": json.dumps({"device": "cpu"})}
    line = refused(server, "post", f"/infer/{MODEL}", 422, params={"image": name, "output": "json"}, data=form)
    assert bad.name in line
    assert "has 4 channels, the configuration expects 1 (image_channels)" in line
    request = {"device": "cpu", "multi_gpu": False, "images": [name, CASE]}
    server.ask("post", f"/batch/infer/{MODEL}", params={"images": "all"}, json=request)
    while (task := server.ask("get", "/batch/infer/").json())["status"] in ("SUBMITTED", "RUNNING"):
        time.sleep(1)
    details = "\n".join(task["details"])
    assert task["status"] == "ERROR"
    assert "images failed, the others are done" in details
    assert name in details
    assert CASE in server.ask("get", "/datastore/", params={"output": "all"}).text
    bad.unlink()
