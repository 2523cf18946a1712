"""Who may ask the MONAI Label app. The same on a live server: label_app/test_attacks.py and test_login.py."""

import importlib
from pathlib import Path

import pytest

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HERE = {"host": "127.0.0.1:8000"}


@pytest.fixture(scope="module")
def lib():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "label_app")
        yield importlib.import_module("lib.visitors")


def status(lib, visitors, headers, method="GET", path="/info/"):
    try:
        visitors.check(method, path, headers)
    except Exception as error:
        assert type(error).__name__ == "Refused"
        assert "\n" not in error.detail
        return error.status
    return 200


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_this_machine_s_names_are_right(lib, host):
    assert status(lib, lib.Visitors(LOOPBACK), {"host": host}) == 200


@pytest.mark.parametrize("host", ["evil.example:8000", "127.0.0.1.evil.example", "[", "", "192.168.0.1:8000"])
def test_another_name_is_refused_where_the_names_are_known(lib, host):
    assert status(lib, lib.Visitors(LOOPBACK), {"host": host}) == 403
    assert status(lib, lib.Visitors(), {"host": host}) == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:9000", "http://localhost:8000"]
)
def test_a_page_of_another_address_is_refused(lib, origin, method):
    assert status(lib, lib.Visitors(LOOPBACK), {**HERE, "origin": origin}, method) == 403
    assert status(lib, lib.Visitors(), {**HERE, "origin": origin}, method) == 403


def test_its_own_page_and_named_pages_pass(lib):
    assert status(lib, lib.Visitors(LOOPBACK), {**HERE, "origin": "http://127.0.0.1:8000"}) == 200
    viewer = lib.Visitors(LOOPBACK, ["https://viewer.example/"])
    assert status(lib, viewer, {**HERE, "origin": "https://viewer.example"}) == 200
    assert status(lib, viewer, {"host": "viewer.example"}) == 200


def test_with_a_login_all_but_the_login_needs_a_token(lib):
    seen = []
    visitors = lib.Visitors(LOOPBACK, login=seen.append)
    for path in ("/info/", "/uploads/0", "/nothing", "/auth/token/valid", "/auth/token/../../info", "/ohif/"):
        assert status(lib, visitors, HERE, path=path) == 401
        for wrong in ("", "Bearer", "Bearer ", "Basic abc", "token"):
            assert status(lib, visitors, {**HERE, "authorization": wrong}, path=path) == 401
    assert status(lib, visitors, HERE, "POST", "/auth/token") == 200
    assert status(lib, visitors, HERE, path="/auth/") == 200
    assert not seen
    assert status(lib, visitors, {**HERE, "authorization": "bearer abc"}) == 200
    assert seen == ["abc"]
