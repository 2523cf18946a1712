"""A bundle as a folder or zip file that runs with MONAI alone: its code lies in ``scripts/``."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from dam_components.atomic_files import whole_file, write_whole
from dam_components.figures import draw_training, save_figure
from dam_components.packaging.drawn_results import draw_test_cases, find_event_files
from dam_components.packaging.needed_code import (
    PACKAGE,
    ROOT,
    installed,
    lowest_versions,
    named_modules,
    needed_files,
    needed_libraries,
    renamed,
)
from dam_components.packaging.zoo_metadata import table_of_tests, zoo_metadata
from dam_components.packaging.zoo_readme import zoo_readme
from dam_components.planning.config_text import config_text
from dam_components.planning.model_metadata import made_by

__all__ = ["package_bundle"]

LARGEST_BYTES = 25 * 1024**2  # of one file, in the model zoo
WEIGHTS = ("model.pt", "model_confidence.pt", "calibration.json", "fold*/model.pt")  # of --folds all: each fold's S
DOCS = ("metrics.csv", "cases.json", "folds.json", "data_license.txt", "picture.png")
STUDY = "experiments"  # configurations of the study, which no user of the model needs
NAME = re.compile(r"[A-Za-z0-9]\w*")


def package_bundle(source: Path, target: Path, contact: str, large_files_url: str | None = None) -> list[Path]:
    """Writes the bundle with its code; the target is complete or not there.

    Args:
        source: a bundle of this package.
        target: a folder that does not exist, or a name that ends in ``.zip``. Its name is the bundle's.
        contact: whom a user of the model can ask.
        large_files_url: the address of the folder that files over 25 MB will be downloaded from, by their paths in the
            bundle.

    Returns:
        The files over 25 MB, within the bundle.

    Raises:
        FileExistsError: there is something at ``target``.
        FileNotFoundError: the source lacks a file that every bundle has.
        ValueError: a name that the model zoo does not take, no address for large files, a configuration that names code
            of another version, or a text that says where the source lies.
    """
    name = target.stem if target.suffix == ".zip" else target.name
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a bundle: use letters, digits and _, as spleen_ct_segmentation")
    if target.exists():
        raise FileExistsError(f"{target} exists: name another place with --output, or remove it")
    for file in ("LICENSE", "configs/metadata.json", "configs/train.json", "configs/inference.json"):
        if not (source / file).is_file():
            raise FileNotFoundError(f"{source / file} is missing: a bundle for the model zoo has one")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as partial:
        folder = Path(partial, name)
        large = _fill(folder, source, contact, large_files_url)
        if target.suffix == ".zip":
            with whole_file(target) as temporary:
                archive = shutil.make_archive(str(Path(partial, "archive")), "zip", partial, name)
                shutil.move(archive, temporary)
        else:
            os.replace(folder, target)
    return large


def _fill(folder: Path, source: Path, contact: str, large_files_url: str | None) -> list[Path]:
    for pattern in ("LICENSE", "configs/logging.conf", *(f"models/{n}" for n in WEIGHTS), *(f"docs/{n}" for n in DOCS)):
        for file in source.glob(pattern):
            placed = folder / file.relative_to(source)
            placed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, placed)
    configs = _configs(source, folder.name)
    for path, text in configs.items():
        write_whole(folder / "configs" / path, renamed(text))
    files = needed_files(named_modules(configs.values()))
    code = _write_code(folder / "scripts", files)
    _write_results(folder, source)
    libraries = needed_libraries(files, configs.values())
    metadata = json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata = zoo_metadata(metadata, installed(), libraries, contact, table_of_tests(folder))
    write_whole(folder / "configs" / "metadata.json", config_text(metadata))
    lowest = lowest_versions(["torch", "monai", "numpy", *libraries])
    write_whole(folder / "docs" / "README.md", zoo_readme(folder, source, lowest, code))
    _refuse_places(folder, source)
    return _list_large_files(folder, large_files_url)


def _configs(source: Path, name: str) -> dict[str, str]:
    """Texts of the configurations by path. The data's place on this machine becomes the zoo's usual one."""
    texts = {}
    for file in sorted((source / "configs").rglob("*.json")):
        path = file.relative_to(source / "configs")
        if path.name == "metadata.json" or path.parts[0] == STUDY:
            continue
        content = json.loads(file.read_text(encoding="utf-8"))
        place = content.get("dataset_dir")
        if isinstance(place, str) and (PurePath(place).is_absolute() or place == "$@bundle_root + '/data'"):
            content["dataset_dir"] = f"/workspace/data/{name}"
        texts[path.as_posix()] = config_text(content)
    return texts


def _write_code(scripts: Path, files: list[Path]) -> str:
    """The modules under their new name; says where they come from."""
    made = made_by()
    commit = f", commit {made['commit']}" if made["commit"] else ""
    code = f"dam-components {made['libraries']['dam-components']}{commit}"
    for file in files:
        write_whole(scripts / file.relative_to(ROOT / PACKAGE), renamed(file.read_text(encoding="utf-8")))
    head = f'"""Code of this bundle, from {code}, Apache-2.0."""\n\n__all__ = ["__version__"]\n\n'
    write_whole(scripts / "__init__.py", head + f'__version__ = "{made["libraries"]["dam-components"]}"\n')
    return code


def _write_results(folder: Path, source: Path) -> None:
    """What the bundle tells of its training and its test cases, without places on this machine."""
    training = source / "docs" / "training.json"
    if training.is_file():
        content = _without_places(json.loads(training.read_text(encoding="utf-8")))
        write_whole(folder / "docs" / "training.json", config_text(content))
    if (figure := draw_training({"": find_event_files(source)})) is not None:
        save_figure(figure, folder / "docs" / "training.png")
    if (rows := table_of_tests(folder)) is not None:
        save_figure(draw_test_cases(rows), folder / "docs" / "test_cases.png")


def _without_places(value: Any) -> Any:
    """The value with the names of files in place of absolute paths."""
    if isinstance(value, dict):
        return {key: _without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value


def _refuse_places(folder: Path, source: Path) -> None:
    """Nothing in the package may say where it was made."""
    private = [str(source) + os.sep, str(Path.home()) + os.sep]
    for file in _files(folder):
        if file.suffix in (".json", ".md", ".csv", ".txt", ".conf"):
            text = file.read_text(encoding="utf-8")
            if found := [place for place in private if place in text]:
                raise ValueError(f"{file.relative_to(folder)} names {found[0]}, a place on this machine: take it out")


def _list_large_files(folder: Path, url: str | None) -> list[Path]:
    """Writes ``large_files.yml``, and ``.gitignore`` so that no commit takes these files along."""
    large = [file.relative_to(folder) for file in _files(folder) if file.stat().st_size > LARGEST_BYTES]
    if not large:
        return []
    if not url:
        size = (folder / large[0]).stat().st_size / 1024**2
        raise ValueError(
            f"{large[0]} has {size:.0f} MB, and the model zoo takes 25: say with --large_files_url from where it "
            "will be downloaded"
        )
    lines = ["large_files:"]
    for path in large:
        digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        place = path.as_posix()  # in the address too: every fold's file has one name
        lines += [f'- path: "{place}"', f'  url: "{url.rstrip("/")}/{place}"']
        lines += [f'  hash_val: "{digest}"', '  hash_type: "sha256"']
    write_whole(folder / "large_files.yml", "\n".join(lines) + "\n")
    write_whole(folder / ".gitignore", "".join(f"/{path.as_posix()}\n" for path in large))
    return large


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())
