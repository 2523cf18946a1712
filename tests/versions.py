"""``python -m tests.versions lowest``: tests with the lowest versions that ``setup.cfg`` admits, or with the newest.

It makes an environment in a folder, installs the project in it, runs the tests of what bundles use, and writes
``docs/results/versions/lowest.md`` or ``newest.md``. The tools of the tests themselves are the newest in both.
PyTorch's lowest version exists on PyPI with CUDA alone, some 3 GB.
"""

from __future__ import annotations

import configparser
import platform
import re
import subprocess
import sys
import venv
from datetime import UTC, datetime
from pathlib import Path

from packaging.requirements import Requirement

from dam_components.atomic_files import write_whole

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "versions"
EXTRAS = ("export", "formats", "dicom")  # libraries that bundles use; the other extras are programs of their own
TOOLS = ("pytest>=8", "pytest-xdist>=3.5", "jsonschema>=4.0", "einops", "psutil>=5.9", "SimpleITK>=2.3")
TESTS = [
    *(f"tests/{room}" for room in ("networks", "losses", "engines", "transforms", "metrics", "handlers", "data")),
    *(f"tests/{room}" for room in ("planning", "packaging", "examples", "bundle")),
]


def lowest(text: str) -> str:
    """A requirement as a pin of the lowest version that it admits.

    >>> lowest("pandas>=2.0,<4"), lowest("einops")
    ('pandas==2.0', 'einops')
    """
    wanted = Requirement(text)
    versions = [part.version for part in wanted.specifier if part.operator in (">=", "==")]
    return f"{wanted.name}=={versions[0]}" if versions else text


def requirements() -> list[str]:
    """Lines of ``setup.cfg``: what the package requires, and its extras for bundles."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *(config["options.extras_require"][extra] for extra in EXTRAS)]
    return list(dict.fromkeys(line for text in texts for line in text.split("\n") if line))


def install(folder: Path, pinned: bool) -> Path:
    """The environment's Python, with everything installed."""
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    wanted = [lowest(line) if pinned else line for line in requirements()]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted, *TOOLS], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-e", ROOT], check=True)
    return python


def main(which: str, folder: str, *words: str) -> int:
    """Installs, tests, writes the result; the status of pytest."""
    python = install(Path(folder), pinned=which == "lowest")
    names = [Requirement(line).name for line in requirements()]
    script = "import sys, importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
    versions = subprocess.run([python, "-c", script, *names], check=True, capture_output=True, text=True).stdout.strip()
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", *(words or ("-n", "2")), *TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(done.stdout[-6000:])
    last = re.sub(r" in [\d.]+s.*", "", done.stdout.strip().splitlines()[-1].strip("= "))
    failed = [f"- `{line[7:].split(' - ')[0]}`" for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    lines = [
        f"# The {which} versions that setup.cfg admits",
        f"`python -m tests.versions {which} FOLDER`, {datetime.now(UTC):%Y-%m-%d}, commit `{commit}`, "
        f"Python {platform.python_version()}, {platform.machine()}.",
        f"Result: {last}.",
        *(["\n".join(failed)] if failed else []),
        f"Versions: {versions}.",
    ]
    write_whole(RESULTS / f"{which}.md", "\n\n".join(lines) + "\n")
    return done.returncode


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("lowest", "newest"):
        sys.exit("python -m tests.versions lowest|newest FOLDER [words for pytest]")
    sys.exit(main(*sys.argv[1:]))
