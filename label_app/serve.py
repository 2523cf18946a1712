"""``python label_app/serve.py STUDIES``: MONAI Label with this project's bundle and its strategy ``confidence``."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dam_components.front import run_command

HERE = Path(__file__).resolve().parent
OTHER_TASKS = ("deepedit", "deepgrow", "detection", "classification")  # MONAI Label reads a task from these in a name


def serve(
    studies: str,
    bundle: str | None = None,
    name: str = "hippocampus",
    workspace: str = "label_workspace",
    host: str = "127.0.0.1",
    port: int = 8000,
    judge_seconds: float = 60,
    upload_minutes: float = 60,
    no_login: bool = False,
) -> None:
    """Starts a server; Ctrl-C ends it. A first start copies the bundle to the workspace, later ones serve that copy.

    Args:
        studies: folder of NIfTI images, or the address of a DICOMweb server.
        bundle: the bundle to serve, with its weights; by default what the workspace holds, at first this project's.
        name: what the model is called in the clients.
        workspace: folder for the app, the bundle's copy, which training changes, and the logs.
        host: address to listen at; 0.0.0.0 for clients on other machines.
        port: to listen at.
        judge_seconds: how long a request for the next sample may judge images.
        upload_minutes: how long the confidence map of an uploaded image can be fetched.
        no_login: listen on other interfaces than this machine's own without a login. Everybody who reaches the port can
            then see all images, change labels and start trainings.
    """
    if host not in LOOPBACK and not no_login and os.environ.get("MONAI_LABEL_AUTH_ENABLE", "").lower() != "true":
        stop(
            f"{host} lets other machines in, and nobody has to log in: see Login in docs/monai_label.md, or say "
            "--no_login if everybody who reaches the port may see all images, change labels and start trainings"
        )
    if importlib.util.find_spec("monailabel") is None:
        stop("MONAI Label is not installed here: see docs/monai_label.md for an environment with it")
    if any(word in name.lower() for word in OTHER_TASKS):
        stop(f"name must be without {', '.join(OTHER_TASKS)}, which MONAI Label takes for other tasks, got {name}")
    if "://" not in studies and not Path(studies).is_dir():
        stop(f"no folder {studies}: name one with the studies' images")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((host, port))
        except OSError as error:
            stop(f"cannot listen at {host}:{port} ({error.strerror}); name another with --port")
    app = prepare(Path(workspace).absolute(), None if bundle is None else Path(bundle).absolute(), name)
    settings = {"models": name, "sam2": "false", "zoo_source": "local", "judge_seconds": str(judge_seconds)}
    conf = [word for pair in settings.items() for word in ("--conf", *pair)]
    server = [*LABEL, "start_server", "-a", str(app), "-s", str(studies), *conf, "-i", host, "-p", str(port)]
    server += ["--uvicorn_app", "lib.guarded:app"]
    print("$", *server, flush=True)
    path = os.pathsep.join(filter(None, [str(app), os.environ.get("PYTHONPATH")]))
    kept = {"PYTHONPATH": path, "DAM_UPLOAD_MINUTES": str(upload_minutes), "DAM_UPLOADS": str(app / "uploads")}
    kept["DAM_HOSTS"] = ",".join(LOOPBACK) if host in LOOPBACK else ""
    os.execve(sys.executable, server, {**os.environ, **kept})


LOOPBACK = ("127.0.0.1", "localhost", "::1")
LABEL = [sys.executable, "-m", "monailabel.main"]


def prepare(workspace: Path, bundle: Path | None, name: str) -> Path:
    """The app's folder in the workspace: the stock app, this one in front of it as it is now, and the bundle's copy."""
    app = workspace / "app"
    if not app.is_dir():
        workspace.mkdir(parents=True, exist_ok=True)
        partial = workspace / f".partial-{os.getpid()}"
        download = [*LABEL, "apps", "--download", "--name", "monaibundle", "--output", str(partial)]
        done = subprocess.run(download, capture_output=True, encoding="utf-8")
        if done.returncode:
            stop(f"MONAI Label cannot copy its app ({(done.stderr or done.stdout).strip().splitlines()[-1]})")
        stock = partial / "monaibundle"
        (stock / "main.py").rename(stock / "monaibundle.py")
        stock.rename(app)
        partial.rmdir()
    shutil.copy(HERE / "main.py", app)
    shutil.copytree(HERE / "lib", app / "lib", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    model = app / "model" / name
    note = model / "copied_from.txt"
    if model.is_dir():
        source = note.read_text(encoding="utf-8").strip() if note.is_file() else "an unknown bundle"
        if bundle is not None and source != str(bundle):
            stop(f"{model} is a copy of {source}: to serve {bundle}, name another --workspace or --name")
        check_bundle(model, "put it back, or name another --workspace")
    else:
        bundle = bundle or HERE.parent / "bundle"
        check_bundle(bundle, "train it first, or name another with --bundle")
        partial = model.with_name(f".partial-{os.getpid()}")
        shutil.copytree(bundle, partial, ignore=without_results(bundle))
        (partial / note.name).write_text(f"{bundle}\n", encoding="utf-8")
        partial.rename(model)
        source = str(bundle)
    print(f"serving {model}, a copy of {source}", flush=True)
    return app


def without_results(bundle: Path) -> Callable[[str, list[str]], set[str]]:
    """What a copy leaves out: the bundle's results and data, and not ``scripts/data``, the code of a packaged one."""
    return lambda folder, names: {"output", "data"} & {*names} if Path(folder) == bundle else set()


def check_bundle(bundle: Path, remedy: str) -> None:
    """Stops if one of the files is missing without which nothing is served."""
    for file in ("configs/inference.json", "models/model.pt", "models/model_confidence.pt"):
        if not (bundle / file).is_file():
            stop(f"{bundle} has no {file}, without which it cannot be served: {remedy}")


def stop(message: str) -> None:
    """Ends the program with one line."""
    sys.exit(f"error: {message}")


if __name__ == "__main__":
    run_command("__main__:serve", "python label_app/serve.py")
