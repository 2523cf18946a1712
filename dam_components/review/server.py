"""The local server of the review page: a few fixed addresses behind a token, on this machine only."""

from __future__ import annotations

import importlib.util
import json
import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dam_components.figures.pictures import COLOURS
from dam_components.review.doubtful_places import doubtful_places
from dam_components.review.results import Results
from dam_components.review.verdicts import OtherVerdict, Verdicts
from dam_components.review.volumes import image_bytes, read_doubt, read_segmentation, volume_bytes

__all__ = ["make_app", "serve"]

PAGE = Path(__file__).parent / "page"
THIS_MACHINE = ["127.0.0.1", "localhost"]  # another name in a request is another site's trick
LARGEST_BODY = 64 * 1024
HEADERS = {
    # NiiVue draws its letters from data: addresses that it holds itself
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

MODEL_PAGE = {  # has its style and pictures within itself, and no script
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
}

logger = logging.getLogger(__name__)


class SafeHeaders:
    """Adds :data:`HEADERS` to every answer: nothing is loaded from elsewhere, told elsewhere or kept in a cache."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {key.decode() for key, _ in message["headers"]}
                more = [(key.encode(), value.encode()) for key, value in HEADERS.items() if key not in given]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self.app(scope, receive, send_with_headers)


class CaseFiles:
    """Answers with what belongs to one case.

    Args:
        results: where the files are looked up.
    """

    def __init__(self, results: Results) -> None:
        self.results = results

    def image(self, request: Request) -> Response:
        return _volume(image_bytes(self.results.image(_case(request))))

    def segmentation(self, request: Request) -> Response:
        classes, affine = read_segmentation(self.results.file(_case(request), "seg.nii.gz"))
        return _volume(volume_bytes(classes, affine, labels=True))

    def doubt(self, request: Request) -> Response:
        case = _case(request)
        _, affine = read_segmentation(self.results.file(case, "seg.nii.gz"))
        return _volume(volume_bytes(read_doubt(self.results.file(case, "confidence.nii.gz")), affine))

    def places(self, request: Request) -> Response:
        case = _case(request)
        classes, affine = read_segmentation(self.results.file(case, "seg.nii.gz"))
        return JSONResponse(doubtful_places(classes, read_doubt(self.results.file(case, "confidence.nii.gz")), affine))

    def picture(self, request: Request) -> Response:
        return FileResponse(self.results.file(_case(request), "review.png"), media_type="image/png")


def make_app(results: Results, verdicts: Verdicts, token: str) -> Starlette:
    """The server as an ASGI application. Without the token, every address is unknown.

    Args:
        results: the only files that are served, beside the page's own.
        verdicts: where verdicts go.
        token: first part of every address.
    """

    def worklist(request: Request) -> Response:
        return JSONResponse(_worklist(results, verdicts))

    def model(request: Request) -> Response:
        return FileResponse(results.model_page(), media_type="text/html", headers=MODEL_PAGE)

    files = CaseFiles(results)

    async def verdict(request: Request) -> Response:
        """Keeps what a person says of a case."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                return JSONResponse({"error": "the verdict is too long"}, 413)
        given = _read_verdict(body)
        case = _case(request)
        row = await run_in_threadpool(verdicts.save, case, **given, result=results.digest(case))
        return JSONResponse(row)

    case = "/cases/{case}"
    routes = [
        Route("/", lambda request: FileResponse(PAGE / "index.html")),
        Route("/niivue.js", lambda request: FileResponse(niivue_file(), media_type="text/javascript")),
        Route("/cases.json", worklist),
        Route("/model.html", model),
        Route(f"{case}/image.nii", files.image),
        Route(f"{case}/segmentation.nii", files.segmentation),
        Route(f"{case}/doubt.nii", files.doubt),
        Route(f"{case}/places.json", files.places),
        Route(f"{case}/picture.png", files.picture),
        Route(f"{case}/verdict", verdict, methods=["POST"]),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    return Starlette(
        routes=[Mount(f"/{token}", routes=routes)],
        middleware=[
            Middleware(SafeHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=THIS_MACHINE),
        ],
        exception_handlers={
            KeyError: _says(404),
            FileNotFoundError: _says(404),
            OtherVerdict: lambda request, error: JSONResponse({"error": str(error), "row": error.row}, 409),
            ValueError: _says(422),
            OSError: _says(503),
        },
    )


def serve(folder: Path, port: int = 0, images: Path | None = None) -> None:
    """Serves the page on this machine until Ctrl-C, and prints its address.

    Raises:
        FileNotFoundError: the folder holds no results, or NiiVue is not installed.
        ValueError: another program uses the port.
    """
    results = Results(folder, images)
    niivue_file()
    token = secrets.token_urlsafe(16)
    app = make_app(results, Verdicts(results.folder / "review.csv"), token)
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ValueError(f"port {port} cannot be used ({error.strerror}); name another with --port") from error
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/{token}/"
    print(f"{len(results.worklist())} cases. Open {address}\nCtrl-C ends the server.", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


def niivue_file() -> Path:
    """NiiVue's JavaScript in the installed package ``ipyniivue``, which is not imported.

    Raises:
        FileNotFoundError: it is not installed.
    """
    package = importlib.util.find_spec("ipyniivue")
    file = None if package is None else Path(str(package.origin)).parent / "static" / "widget.js"
    if file is None or not file.is_file():
        raise FileNotFoundError("NiiVue is not installed: pip install 'dam-components[review]'")
    return file


def _worklist(results: Results, verdicts: Verdicts) -> dict[str, Any]:
    """What the page shows of all cases, before one is opened."""
    dice, cases = results.true_dice(), []
    for report in results.worklist():
        case = report["case"]
        try:
            result = results.digest(case)
        except FileNotFoundError as error:  # a link to elsewhere, or the case is being segmented again
            logger.warning("left out: %s", error)
            continue
        picture = _has(results, case, "review.png")
        cases.append({**report, "result": result, "picture": picture, "dice": dice.get(case)})
    folder = results.folder if results.model is None else results.model
    shared = {"folder": folder.name, "model": results.model is not None, "colours": COLOURS}
    return {**shared, "cases": cases, "verdicts": verdicts.read()}


def _case(request: Request) -> str:
    return request.path_params["case"]


def _has(results: Results, case: str, postfix: str) -> bool:
    try:
        return results.file(case, postfix).is_file()
    except FileNotFoundError:
        return False


def _volume(content: bytes) -> Response:
    return Response(content, media_type="application/octet-stream")


def _read_verdict(body: bytes) -> dict[str, Any]:
    """What the page sends: verdict, note and the revision it saw."""
    given = json.loads(body)
    kinds = {"verdict": str, "note": str, "seen": int}
    if not isinstance(given, dict) or given.keys() != kinds.keys():
        raise ValueError(f"a verdict has the fields {', '.join(kinds)}")
    for name, kind in kinds.items():
        if not isinstance(given[name], kind):
            raise ValueError(f"{name} of a verdict must be {kind.__name__}, got {given[name]!r}")
    return given


def _says(status: int) -> Callable[[Request, Exception], Response]:
    """An answer with the error's message in one line."""

    def answer(request: Request, error: Exception) -> Response:
        logger.warning("%s", error)
        return JSONResponse({"error": str(error.args[0] if isinstance(error, KeyError) else error)}, status)

    return answer
