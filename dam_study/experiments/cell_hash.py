"""What a cell does, as one hash: the values that its run uses, and the source of the parts that it names.

How the JSON is written does not matter: a comment, another name of a symbol, a value in place of a reference to it, an
import, the order of entries, and entries that the run does not use leave the hash as it is.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.reference_resolver import ReferenceResolver

__all__ = ["hash_run", "hash_sources"]

STEPS = ("initialize", "run")  # what monai.bundle run does
# say where files lie, on what machine it runs, and what is shown meanwhile
NO_RESULT = (
    *("bundle_root", "ckpt_dir", "confidence_weights", "dataset_dir", "folds_file", "network_dir", "output_dir"),
    *("weights", "work_dir", "resume", "device", "num_workers", "cache_rate", "main_process", "pretrained"),
    *("difficulty_frames", "logged", "progress_title", "shown_loss", "validation_pictures", "model_dir", "fingerprint"),
)
SHOWN = ("ConfidencePicture", "MLFlowHandler", "StatsHandler", "TensorBoardImageHandler", "TensorBoardStatsHandler")
OURS = ("dam_components", "dam_study")
CHECKS = ("dam_components.errors.", "dam_components.options.")  # refuse a run or let it be as it is


def hash_run(parser: ConfigParser) -> tuple[str, set[str]]:
    """The hash of what a run of the configuration computes with, and the names of our parts in it.

    Args:
        parser: the merged configuration, as written.
    """
    found = _Digests(parser)
    steps = [found.of(parser[step]) for step in STEPS if step in parser]
    return _digest(steps), {part for part in found.parts if not part.startswith(CHECKS)}


def hash_sources(parts: set[str]) -> str:
    """The hash of the modules that define the parts, and of our modules that these import, without comments and
    docstrings.

    Args:
        parts: full names, as ``dam_components.losses.HybridLoss``.
    """
    waiting = {module for part in parts for module in _defining(*part.rpartition(".")[::2])}
    seen: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        tree = ast.parse(inspect.getsource(importlib.import_module(name)))
        seen[name] = _digest(ast.dump(_without_docstrings(tree)))
        waiting |= {module for module in _imported(tree) if module not in seen}
    return _digest(sorted(seen.items()))


class _Digests:
    """Digests of entries, in which a reference counts as what it refers to; and our parts that occur in them."""

    def __init__(self, parser: ConfigParser) -> None:
        self.parser = parser
        self.parts: set[str] = set()
        self.known: dict[str, str] = {name: _digest(name) for name in NO_RESULT}
        self.modules = dict(_aliases(parser.get("imports", [])))

    def of(self, value: Any) -> str:
        if isinstance(value, Mapping):
            if "_target_" in value and str(value["_target_"]).startswith(OURS):
                self.parts.add(value["_target_"])
            return _digest({key: self.of(item) for key, item in value.items() if key != "_desc_"})
        if isinstance(value, list):
            return _digest([self.of(item) for item in value if not _is_shown(item)])
        if not isinstance(value, str):
            return _digest(value)
        if value.startswith("@"):
            return self.of_entry(ReferenceResolver.normalize_id(value[1:]))
        return _digest(self.expression(value) if value.startswith("$") else value)

    def of_entry(self, name: str) -> str:
        if name not in self.known:
            self.known[name] = self.of(self.parser[name])
        return self.known[name]

    def expression(self, text: str) -> str:
        for alias, attribute in re.findall(r"\b(\w+)\.(\w+)", text):
            if alias in self.modules:
                self.parts.add(f"{self.modules[alias]}.{attribute}")
        text = ReferenceResolver.normalize_id(text)
        return ReferenceResolver.id_matcher.sub(lambda match: f"@{self.of_entry(match[0][1:])}", text)


def _is_shown(item: Any) -> bool:
    """Whether an item of a list is there for people alone, or writes the model's folder when all is computed."""
    if isinstance(item, str):
        return item.startswith(("$@trained_model.", "$data.warn_of_known_cases("))
    return isinstance(item, Mapping) and str(item.get("_target_", "")).rpartition(".")[2] in SHOWN


def _aliases(imports: list[str]) -> Iterator[tuple[str, str]]:
    """Names under which expressions know our modules."""
    for line in imports:
        for node in ast.walk(ast.parse(line.lstrip("$"))):
            if isinstance(node, ast.Import):
                yield from ((a.asname, a.name) for a in node.names if a.asname and a.name.startswith(OURS))
            elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(OURS):
                yield from ((a.asname or a.name, f"{node.module}.{a.name}") for a in node.names)


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(OURS):
            for alias in node.names:
                yield from _defining(str(node.module), alias.name)


def _defining(module: str, name: str) -> Iterator[str]:
    """The module in which what ``from module import name`` gives is written."""
    found = getattr(importlib.import_module(module), name, None)
    if isinstance(found, ModuleType):
        yield found.__name__
    else:
        written = getattr(found, "__module__", None) or module
        yield written if str(written).startswith(OURS) else module


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
