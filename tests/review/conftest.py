"""Folders of results as inference writes them, of synthetic cases, and a live server of one."""

import http.client
import json
import shutil
import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
import uvicorn
from scipy import ndimage

from dam_components.figures import draw_review, save_figure
from dam_components.review.results import Results
from dam_components.review.server import make_app
from dam_components.review.verdicts import Verdicts
from dam_components.synthetic import synthesize_pelvic
from dam_components.synthetic.pelvic import pelvic_spacing
from dam_components.transforms.case_report import case_quality
from dam_components.transforms.write_report import write_report

TOKEN = "tokenOfThisTest"
NAMES = {1: "bladder", 2: "prostate", 3: "rectum"}
SHAPE = (32, 32, 16)


def soft_prediction(label, seed):
    """Probabilities of a network that is less sure, and worse, the larger the seed."""
    blur = 0.6 + 0.1 * (seed % 12)
    classes = np.stack([ndimage.gaussian_filter((label == c).astype(np.float32), blur) for c in range(4)])
    return torch.from_numpy(classes / classes.sum(0))


def make_case(folder, images, case, seed, pictured=False):
    """One case's files; returns its report."""
    image, label = synthesize_pelvic(seed, SHAPE)
    spacing = pelvic_spacing(SHAPE)
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1])
    probabilities = soft_prediction(label, seed)
    confidence, called = probabilities.max(0)
    quality = case_quality(probabilities, confidence[None], spacing, NAMES)
    images.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(image, affine), images / f"{case}.nii.gz")
    own = folder / case
    own.mkdir(parents=True)
    nib.save(nib.Nifti1Image(called.numpy().astype(np.uint8), affine), own / f"{case}_seg.nii.gz")
    nib.save(nib.Nifti1Image(confidence.numpy(), affine), own / f"{case}_confidence.nii.gz")
    if pictured:
        figure = draw_review(image, called.numpy(), confidence.numpy(), affine, NAMES, title=case)
        save_figure(figure, own / f"{case}_review.png")
    report = {"case": case, "image": str(images / f"{case}.nii.gz"), "spacing_mm": list(spacing), **quality}
    write_report(own / f"{case}_report.json", report)
    return report


def make_results(folder, count, subjects=8):
    """A folder of ``count`` cases; the pictures are those of the first few."""
    pictures = []
    for index in range(count):
        case = f"pelvis_{index:03d}"
        make_case(folder, folder.parent / "images", case, index, pictured=index < subjects)
        picture = folder / case / f"{case}_review.png"
        if index < subjects:
            pictures.append(picture)
        else:
            shutil.copy(pictures[index % subjects], picture)


@pytest.fixture(scope="session")
def write_case():
    return make_case


@pytest.fixture(scope="session")
def write_results():
    return make_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three cases, the second the worst."""
    folder = tmp_path_factory.mktemp("review") / "results"
    for case, seed in (("a", 1), ("b #1%2f", 11), ("c", 3)):
        make_case(folder, folder.parent / "images", case, seed, pictured=case == "a")
    return folder


@contextmanager
def live_server(folder):
    """A live server of a folder; ``ask(method, path, body, headers)`` sends the path as it stands."""
    listener = socket.create_server(("127.0.0.1", 0))
    results = Results(folder)
    app = make_app(results, Verdicts(results.folder / "review.csv"), TOKEN)
    running = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    port = listener.getsockname()[1]

    def ask(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            connection.putheader(key, value)
        connection.endheaders(content)
        answer = connection.getresponse()
        return SimpleNamespace(status=answer.status, headers=dict(answer.getheaders()), body=answer.read())

    try:
        yield SimpleNamespace(ask=ask, root=f"/{TOKEN}", folder=folder)
    finally:
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def serve():
    return live_server


@pytest.fixture(scope="module")
def server(results):
    with live_server(results) as running:
        yield running
