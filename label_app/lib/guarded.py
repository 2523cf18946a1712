"""MONAI Label's web application behind checks of every request: ``start_server --uvicorn_app lib.guarded:app``."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from monailabel.app import app as monailabel_app
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse

from lib.label_check import check_label
from lib.login import login_check
from lib.request_rules import BATCH, INFER, SAMPLE, TRAIN, Refused, Rules, Served, is_id, is_plain, read_json, short
from lib.uploads import UPLOADS
from lib.visitors import Visitors

__all__ = ["Guard", "app"]

Scope, Message = MutableMapping[str, Any], MutableMapping[str, Any]
Receive, Send = Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]
Check = Callable[["Guard", Mapping[str, str], Mapping[str, str], Any], None]

LARGEST_BODY = int(os.environ.get("DAM_LARGEST_UPLOAD", 4 * 2**30))  # bytes
KEPT_IN_MEMORY = 64 * 2**20
NAME = r"(?P<name>[^/]+)"
CLOSED = "this server does not offer it: see the documentation of label_app"


def check_infer(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``POST /infer/MODEL``."""
    only(query, ("image", "session_id", "output"))
    guard.served.need("models", place["name"])
    guard.rules.values(read_json(form.get("params")), INFER, place["name"])
    for part in ("file", "label"):
        if form.get(part) is not None:
            guard.rules.upload(getattr(form[part], "filename", None), part)
    if query.get("session_id") and not is_id(query["session_id"]):
        raise Refused(404, f"there is no session {short(query['session_id'])}")
    if form.get("file") is None and not query.get("session_id"):
        guard.served.need_image(query.get("image", ""))
    elif query.get("image"):
        guard.rules.new_id(query["image"])


def check_train(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``POST /train/MODEL``."""
    only(query, ("run_sync", "enqueue"))
    guard.served.need("trainers", place["name"])
    guard.rules.values(form, TRAIN, place["name"])
    if form.get("model", place["name"]) != place["name"]:
        raise Refused(422, f"the address names the model {place['name']}, the parameters another")


def check_batch(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``POST /batch/infer/MODEL``."""
    only(query, ("images", "run_sync"))
    guard.served.need("models", place["name"])
    guard.rules.values(form, BATCH, place["name"])
    if query.get("images", "unlabeled") not in ("all", "labeled", "unlabeled"):
        raise Refused(422, f"images must be all, labeled or unlabeled, got {short(query['images'])}")
    for image in form.get("images", ()):
        guard.served.need_image(image)


def check_sample(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``POST /activelearning/STRATEGY``."""
    only(query, ())
    guard.served.need("strategies", place["name"])
    guard.rules.values(form, SAMPLE)
    if "model" in form:
        guard.served.need("models", form["model"])


def check_scoring(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``POST /scoring/METHOD``."""
    only(query, ("run_sync",))
    guard.served.need("scoring", place["name"])
    guard.rules.values(form, {})


def check_new_image(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``PUT /datastore/image``."""
    only(query, ("image",))
    guard.rules.new_id(query.get("image"))
    guard.rules.upload(getattr(form.get("file"), "filename", None), "file")
    plain(read_json(form.get("params")))


def check_new_label(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``PUT /datastore/label``: also whether the label fits its image."""
    only(query, ("image", "tag"))
    guard.rules.tag(query.get("tag"))
    guard.served.need_image(query.get("image", ""))
    guard.rules.upload(getattr(form.get("label"), "filename", None), "label")
    plain(read_json(form.get("params")))
    check_label(app_instance(), query["image"], form["label"])


def check_info(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``PUT /datastore/image/info`` and ``/label/info``."""
    only(query, ("image", "label", "tag"))
    check_names(guard, place, query, form)
    plain(read_json(form.get("info")))


def check_names(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """Requests that name an image or label by its id, and a tag."""
    only(query, ("image", "label", "id", "tag", "check_sum", "output", "limit_cases"))
    guard.rules.tag(query.get("tag"))
    for key in ("image", "label", "id"):
        if key in query:
            guard.served.need_image(query[key])
    if query.get("check_sum") and not re.fullmatch(r"([A-Za-z0-9]{1,10}:)?[0-9a-fA-F]{1,128}", query["check_sum"]):
        raise Refused(422, "check_sum must be hexadecimal digits")


def check_session(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """``/session/``."""
    only(query, ("uncompress", "expiry", "update_ts", "image"))
    if query.get("uncompress", "false").lower() not in ("false", "0"):
        raise Refused(422, "uncompress is not offered: send an image file, not an archive")
    if "expiry" in query and not re.fullmatch(r"\d{1,6}", query["expiry"]):
        raise Refused(422, f"expiry must be seconds, a whole number, got {short(query['expiry'])}")
    if form is not None and hasattr(form, "getlist"):
        for file in form.getlist("files"):
            guard.rules.upload(getattr(file, "filename", None), "files")
    if place.get("name") and not is_id(place["name"]):
        raise Refused(404, f"there is no session {short(place['name'])}")


def check_nothing(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """Requests that only ask: no value of theirs is a name of something."""
    for value in query.values():
        if not re.fullmatch(r"[\w.-]{0,64}", value) or ".." in value:
            raise Refused(422, f"there is no value {short(value)} here")


def check_proxy(guard: Guard, place: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
    """OHIF's files, and the DICOMweb server that was named as the studies."""
    if not re.fullmatch(r"[\w./%-]{0,2000}", place.get("path", "")) or ".." in place.get("path", ""):
        raise Refused(404, "there is no such resource")


# method, address, check, what the body is
ROUTES: list[tuple[str, str, Check, str]] = [
    ("POST", f"/infer/{NAME}", check_infer, "form"),
    ("POST", f"/train/{NAME}", check_train, "json"),
    ("POST", f"/batch/infer/{NAME}", check_batch, "json"),
    ("POST", f"/activelearning/{NAME}", check_sample, "json"),
    ("POST", f"/scoring/{NAME}", check_scoring, "json"),
    ("PUT", "/datastore/(image)?", check_new_image, "form"),
    ("PUT", "/datastore/label", check_new_label, "form"),
    ("PUT", "/datastore/(image|label)/info", check_info, "form"),
    ("GET|HEAD|DELETE", "/datastore/(image|label)", check_names, ""),
    ("GET", "/datastore/((image|label)/info)?", check_names, ""),
    ("GET", "/datastore/dataset", check_nothing, ""),
    ("PUT", "/session/", check_session, "form"),
    ("GET|DELETE", f"/session/{NAME}", check_session, ""),
    ("GET|DELETE", "/(train|batch/infer|scoring)/?", check_nothing, ""),
    ("GET", "/(info|logs|logs/gpu)/?", check_nothing, ""),
    ("GET", "/(openapi.json|docs|favicon.ico)?", check_nothing, ""),
    ("GET", "/(static|ohif)(/(?P<path>.*))?", check_proxy, ""),
    ("GET|POST", "/proxy/dicom/(?P<path>.*)", check_proxy, ""),
    ("GET", "/auth/(token/valid)?", check_nothing, ""),
    ("POST", "/auth/token", check_nothing, ""),
]


class Guard:
    """Checks requests and answers what is wrong with one line; what is right goes to MONAI Label.

    Args:
        inner: MONAI Label's application.
        served: what there is to ask for.
        visitors: who may ask.
    """

    def __init__(self, inner: Any, served: Served, visitors: Visitors) -> None:
        self.inner, self.served, self.rules, self.visitors = inner, served, Rules(served), visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        body = tempfile.SpooledTemporaryFile(max_size=KEPT_IN_MEMORY)  # noqa: SIM115 - it outlives this block
        try:
            await self._answer(scope, receive, send, body)
        except Refused as refusal:
            await JSONResponse({"detail": refusal.detail}, refusal.status)(scope, receive, send)
        finally:
            body.close()
            UPLOADS.remove_old()

    async def _answer(self, scope: Scope, receive: Receive, send: Send, body: Any) -> None:
        path, method = scope["path"], scope["method"]
        await run_in_threadpool(self.visitors.check, method, path, Request(scope).headers)
        if method == "OPTIONS":
            await self.inner(scope, receive, send)
            return
        if method == "GET" and (found := re.fullmatch(r"/uploads/([0-9a-f]{32})", path)):
            file = UPLOADS.find(found[1])
            if file is None:
                raise Refused(404, "there is no such map: maps of uploads are removed after a while")
            await FileResponse(file, filename="confidence.nii.gz")(scope, receive, send)
            return
        check, place, kind = self._route(method, path)
        query = dict(Request(scope).query_params)
        twice = len(Request(scope).query_params.multi_items()) != len(query)
        if twice or any("\0" in value for value in query.values()):
            raise Refused(422, "a parameter is given twice, or holds a NUL")
        await spool(receive, body)
        form = await self._read(scope, body, kind)
        await run_in_threadpool(check, self, place, query, form)
        body.seek(0)
        await self.inner(scope, replay(body, receive), send)

    @staticmethod
    def _route(method: str, path: str) -> tuple[Check, dict[str, str], str]:
        at_address = [(route, found) for route in ROUTES if (found := re.fullmatch(route[1], path))]
        for (methods, _, check, kind), found in at_address:
            if method in methods.split("|"):
                return check, {name: value or "" for name, value in found.groupdict().items()}, kind
        if at_address:
            raise Refused(405, f"{method} is not offered at {short(path)}")
        raise Refused(404, f"{short(path)}: {CLOSED}")

    @staticmethod
    async def _read(scope: Scope, body: Any, kind: str) -> Any:
        body.seek(0)
        if kind == "json":
            return read_json(body.read(2**20).decode("utf-8", "replace")) or {}
        if kind != "form":
            return None
        try:
            form = await Request(scope, replay(body, never)).form(max_files=100, max_fields=20)
        except Exception as error:
            raise Refused(422, f"the body is no form: {short(error)}") from None
        return form


async def spool(receive: Receive, body: Any) -> None:
    """Takes the whole body, to a file where it is large."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "the client went away")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > LARGEST_BODY:
            raise Refused(413, f"the body is larger than {LARGEST_BODY} bytes")
        body.write(chunk)


def replay(body: Any, after: Receive) -> Receive:
    """Gives the body again, from where it stands."""
    done = False

    async def receive() -> Message:
        nonlocal done
        if done:
            return await after()
        chunk = body.read(2**20)
        done = len(chunk) < 2**20
        return {"type": "http.request", "body": chunk, "more_body": not done}

    return receive


async def never() -> Message:
    """There is no more to receive."""
    return {"type": "http.disconnect"}


def only(query: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Refuses a parameter of the address that is not one of these."""
    for name in query:
        if name not in known:
            raise Refused(422, f"there is no parameter {short(name)} here: {', '.join(known) or 'none is taken'}")


def plain(value: Any) -> None:
    """Refuses information that is more than short words and numbers."""
    if not isinstance(value, dict) or not is_plain(value) or len(json.dumps(value)) > 20_000:
        raise Refused(422, "the information must be a JSON object of short words and numbers")


def weights_of(model: str) -> list[str]:
    """The files of weights that a model offers."""
    return list(app_instance()._infers[model]._config["model_filename"])


def has_image(image: str) -> bool:
    """Whether the studies have the image; a link that leads out of their folder does not count."""
    datastore = app_instance().datastore()
    if image not in datastore.list_images():
        return False
    studies = str(app_instance().studies)
    if "://" in studies:
        return True
    return Path(datastore.get_image_uri(image)).resolve().is_relative_to(Path(studies).resolve())


HOSTS = [name for name in os.environ.get("DAM_HOSTS", "").split(",") if name]
app = Guard(
    monailabel_app,
    Served(lambda: app_instance().info(), has_image, weights_of),
    Visitors(HOSTS, [str(origin) for origin in settings.MONAI_LABEL_CORS_ORIGINS], login_check()),
)
