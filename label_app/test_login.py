"""MONAI Label's login on a live server: who has no token, a wrong one, or one without the role, gets nothing.

A few lines stand in for the login server: they give out the key, as Keycloak does, and tokens for a password.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
import pytest
import requests
import serve
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from test_server import CASE, PROJECT, Server, free_port, make_studies

KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
USERS = {"reader": ["monailabel-user"], "boss": ["monailabel-user", "monailabel-annotator", "monailabel-admin"]}


def token(user, key=KEY, algorithm="RS256", lasts=600, **more):
    claims = {"preferred_username": user, "realm_access": {"roles": USERS[user]}, "exp": time.time() + lasts}
    return jwt.encode({**claims, **more}, key, algorithm=algorithm)


class Realm(BaseHTTPRequestHandler):
    """The parts of a Keycloak realm that MONAI Label asks for."""

    def answer(self, content, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self):
        address = f"http://{self.headers['Host']}/token"
        own = {"public_key": base64.b64encode(PUBLIC).decode(), "token_endpoint": address}
        self.answer(own)

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form["password"] != ["right"]:
            self.answer({}, 401)
        else:
            self.answer({"access_token": token(form["username"][0]), "token_type": "bearer"})

    def log_message(self, *words):
        """Nothing: the tests' output is enough."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    realm = ThreadingHTTPServer(("127.0.0.1", 0), Realm)
    threading.Thread(target=realm.serve_forever, daemon=True).start()
    folder, port = tmp_path_factory.mktemp("login"), free_port()
    studies = make_studies(folder / "studies")
    command = [sys.executable, str(PROJECT / "label_app" / "serve.py"), str(studies), "--port", str(port)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONAI_LABEL_AUTH_ENABLE", "true")
        patch.setenv("MONAI_LABEL_AUTH_REALM_URI", f"http://127.0.0.1:{realm.server_port}/realms/clinic")
        server = Server(command, folder, port, folder / "label_workspace" / "app", ready="/auth/")
    yield server
    server.stop()
    realm.shutdown()


def ask(server, method, path, with_token=None, **options):
    headers = {} if with_token is None else {"Authorization": f"Bearer {with_token}"}
    answer = requests.request(method, server.address + path, headers=headers, timeout=300, **options)
    return answer.status_code


def wrong_tokens():
    yield "of another key", token("boss", OTHER)
    yield "expired", token("boss", lasts=-60)
    yield "unsigned", jwt.encode({"preferred_username": "boss"}, None, algorithm="none")
    header, claims = ({"alg": "HS256", "typ": "JWT"}, {"realm_access": {"roles": USERS["boss"]}})
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signed = hmac.new(base64.b64encode(PUBLIC), b".".join(parts), hashlib.sha256).digest()
    yield "signed with the public key", b".".join([*parts, base64.urlsafe_b64encode(signed).rstrip(b"=")]).decode()
    yield "no token at all", "abc"
    yield "changed", token("boss")[:-8] + "AAAAAAAA"


@pytest.mark.parametrize(
    "method, path",
    [
        ("get", "/info/"),
        ("get", f"/datastore/image?image={CASE}"),
        ("get", "/datastore/image?image=nobody"),
        ("get", "/uploads/" + "0" * 32),
        ("get", "/train/"),
        ("delete", "/train/"),
        ("get", "/ohif/"),
        ("get", "/nothing/here"),
        ("post", "/activelearning/confidence"),
    ],
)
def test_without_a_valid_token_all_is_401(server, method, path):
    assert ask(server, method, path) == 401
    for why, wrong in wrong_tokens():
        assert ask(server, method, path, wrong) == 401, why


def test_a_password_gives_a_token_that_opens_what_the_role_may(server):
    assert requests.get(f"{server.address}/auth/", timeout=60).json()["enabled"]
    form = {"username": "reader", "password": "right", "grant_type": "password"}
    answer = requests.post(f"{server.address}/auth/token", data=form, timeout=60)
    reader = answer.json()["access_token"]
    assert ask(server, "get", "/auth/token/valid", reader) == 200
    assert ask(server, "get", "/info/", reader) == 200
    assert ask(server, "get", f"/datastore/image?image={CASE}", reader) == 200
    assert ask(server, "post", "/train/hippocampus", reader, json={"device": "cpu"}) == 403
    assert ask(server, "delete", "/train/", reader) == 403
    assert ask(server, "get", "/logs/", reader) == 403
    boss = token("boss")
    assert ask(server, "delete", "/train/", boss) == 200
    assert ask(server, "get", "/logs/", boss) == 200


def test_a_wrong_password_gives_none(server):
    form = {"username": "boss", "password": "wrong", "grant_type": "password"}
    answer = requests.post(f"{server.address}/auth/token", data=form, timeout=60)
    assert answer.status_code >= 400
    assert "access_token" not in answer.text


def test_a_login_opens_the_other_interfaces(monkeypatch):
    monkeypatch.delenv("MONAI_LABEL_AUTH_ENABLE", raising=False)
    with pytest.raises(SystemExit, match="lets other machines in, and nobody has to log in"):
        serve.serve("nowhere", host="0.0.0.0")
    for environment, options in (({"MONAI_LABEL_AUTH_ENABLE": "true"}, {}), ({}, {"no_login": True})):
        with monkeypatch.context() as patch, pytest.raises(SystemExit, match="no folder nowhere"):
            for name, value in environment.items():
                patch.setitem(os.environ, name, value)
            serve.serve("nowhere", host="0.0.0.0", **options)
