"""Which modules of this package a bundle needs: those that its configurations name, and what these import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement

import dam_components

__all__ = ["installed", "lowest_versions", "named_modules", "needed_files", "needed_libraries", "renamed"]

PACKAGE = "dam_components"
ROOT = Path(dam_components.__file__).resolve().parents[1]
OF_MONAI = ("torch", "monai", "numpy")  # metadata.json has an entry of its own for each
EXTRA_MODULES = {"TensorBoardStatsHandler": "tensorboard"}  # MONAI imports them when a configuration names these
MODULE = re.compile(rf"\b{PACKAGE}(?:\.\w+)+")
PREFIX = re.compile(rf"\b{PACKAGE}(?=\.\w)|(?<=\bfrom ){PACKAGE}(?= import\b)")
EXTRA = re.compile(r"'dam-components\[(\w+)\]'")


def renamed(text: str, name: str = "scripts") -> str:
    """Code or a configuration with another name for this package in its imports and ``_target_``.

    What is meant for a person, as ``python -m dam_components``, stays. A hint to install an extra of the package names
    the libraries in it.

    Args:
        text: Python or JSON.
        name: the new one.

    Example:
        >>> renamed('{"_target_": "dam_components.losses.HybridLoss"}')
        '{"_target_": "scripts.losses.HybridLoss"}'
        >>> renamed("from dam_components import __version__  # python -m dam_components demo")
        'from scripts import __version__  # python -m dam_components demo'
    """
    return EXTRA.sub(lambda found: _libraries_of(found[1]), PREFIX.sub(name, text))


def named_modules(texts: Iterable[str]) -> set[str]:
    """Modules, or names in them, of this package that configurations name.

    Example:
        >>> sorted(named_modules(['"$import dam_components.data as data"', '"dam_components.losses.HybridLoss"']))
        ['dam_components.data', 'dam_components.losses.HybridLoss']
    """
    return {name for text in texts for name in MODULE.findall(text)}


def needed_files(names: Iterable[str]) -> list[Path]:
    """The files that these names need, with the packages around them and all that they import of this package.

    Args:
        names: of :func:`named_modules`.

    Returns:
        Files, sorted.

    Raises:
        ValueError: there is no such module.
    """
    files: set[Path] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        parts = name.split(".")
        found = [file for end in range(1, len(parts) + 1) if (file := _module_file(parts[:end])) is not None]
        if len(found) < len(parts) - 1:  # the last part may be a name in a module
            raise ValueError(f"this version of dam-components has no {name}, which a configuration of the bundle names")
        for file in found:
            if file not in files:
                files.add(file)
                queue += [module for module in _imported(file) if module.split(".")[0] == PACKAGE]
    return sorted(files)


def needed_libraries(files: Iterable[Path], configs: Iterable[str] = ()) -> dict[str, str]:
    """The installed versions of what the files import, beside MONAI, PyTorch and NumPy.

    Args:
        files: of :func:`needed_files`.
        configs: texts of configurations, for what MONAI imports when they name it.

    Returns:
        Version by name of the distribution, of those that this package requires.

    Raises:
        ModuleNotFoundError: this package is not installed, so that its requirements are not known.
    """
    modules = {module.split(".")[0] for file in files for module in _imported(file)} - sys.stdlib_module_names
    text = "\n".join(configs)
    modules |= {module for word, module in EXTRA_MODULES.items() if word in text}
    owners = _owners()
    names = {_plain(owner) for module in modules for owner in owners.get(module, ())}
    required = [entry.name for entry in _requirements() if entry.marker is None]
    return {name: _public(version(name)) for name in required if _plain(name) in names and name not in OF_MONAI}


def lowest_versions(names: Iterable[str]) -> dict[str, str]:
    """What this package's requirements say of each distribution, as ``>=1.11``."""
    said = {_plain(entry.name): str(entry.specifier) for entry in _requirements() if entry.marker is None}
    return {name: said[_plain(name)] for name in names if _plain(name) in said}


def installed(names: Iterable[str] = OF_MONAI) -> dict[str, str]:
    """Versions that are installed, without the part that names a build: ``2.13.0`` of ``2.13.0+cpu``."""
    return {name: _public(version(name)) for name in names}


def _module_file(parts: list[str]) -> Path | None:
    place = ROOT.joinpath(*parts)
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


@cache
def _imported(file: Path) -> frozenset[str]:
    """What a file imports, wherever in it, as ``module`` or ``module.name``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


_owners = cache(packages_distributions)


def _requirements() -> list[Requirement]:
    try:
        return [Requirement(text) for text in requires("dam-components") or ()]
    except PackageNotFoundError as error:
        raise ModuleNotFoundError(
            "dam-components is not installed, so its requirements are not known: pip install it first"
        ) from error


def _libraries_of(extra: str) -> str:
    entries = [entry for entry in _requirements() if entry.marker and entry.marker.evaluate({"extra": extra})]
    return " ".join(f"'{entry.name}{entry.specifier}'" for entry in entries)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _public(text: str) -> str:
    return text.partition("+")[0]
