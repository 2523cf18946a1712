import builtins
import re
import socket
import subprocess
import sys
import urllib.request

import pytest

from dam_components.commands.reviewing import review
from dam_components.transforms.write_report import write_report

REPORT = {
    "case": "a",
    "image": "a.nii.gz",
    "classes": {},
    "predicted_mean_dice": 0.9,
    "calibrated": False,
    "review": False,
    "reasons": [],
}


@pytest.fixture
def results(tmp_path):
    write_report(tmp_path / "a" / "a_report.json", REPORT)
    return tmp_path


def test_the_printed_address_opens(results):
    command = [sys.executable, "-m", "dam_components", "review", str(results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{20,}/", process.stdout.readline()).group()
            with urllib.request.urlopen(address) as page:
                assert b"<title>Review</title>" in page.read()
        finally:
            process.terminate()


def test_a_folder_without_results_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}.*output_dir"):
        review(str(tmp_path))


@pytest.mark.parametrize("port", [-1, 65536, "x", 80.5])
def test_a_port_is_a_number(results, port):
    with pytest.raises(ValueError, match="port"):
        review(str(results), port)


def test_a_port_in_use_is_named(results):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=rf"port {port} cannot be used .*--port"):
            review(str(results), port)


def test_a_missing_extra_is_named(results, monkeypatch):
    real = builtins.__import__

    def without(name, *given):
        if name.startswith("uvicorn"):
            raise ModuleNotFoundError("no", name="uvicorn")
        return real(name, *given)

    monkeypatch.delitem(sys.modules, "dam_components.review.server", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"uvicorn is not installed: .*\[review\]"):
        review(str(results))
