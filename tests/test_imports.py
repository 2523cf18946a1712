"""Rooms of the house: imports point one way, and no name hides a module."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("dam_components/**/*.py"), *ROOT.glob("dam_study/**/*.py")])
ROOTS = {
    "atomic_files",
    "bundle_command",
    "dam_components",
    "distributed",
    "errors",
    "folder_lock",
    "interrupts",
    "moved_names",
    "options",
    "precision",
    "plain_tensor",
    "predicted_class",
    "probabilities",
}
LAYERS = (  # a room imports from the layers below its own; rooms of one layer import nothing of each other
    ROOTS,
    {"networks", "losses", "engines", "front"},
    {"metrics", "data", "synthetic"},
    {"figures"},
    {"transforms", "handlers", "planning"},
    {"confidence", "packaging", "review"},
    {"commands"},
    {"cli", "baselines", "ranks", "report"},  # the last three: old places of names
    {"__main__", "dam_study"},
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def room(module):
    """The part of a module's name that LAYERS places: dam_components.metrics.doubt is in metrics."""
    package, *parts = module.split(".")
    return package if package == "dam_study" or not parts else parts[0]


def imported(file):
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: write the whole name of the module"
            yield node.module


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file):
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    own = room(name.removesuffix(".__init__"))
    for module in imported(file):
        if module.split(".")[0] in ("dam_components", "dam_study") and room(module) != own:
            lower = LEVEL[room(module)] < LEVEL[own] or {own, room(module)} <= ROOTS
            assert lower, f"{name} imports {module}"
        if own in ("networks", "losses"):
            assert not module.startswith("ignite"), f"{name} must work without Ignite"


def test_no_room_for_odds_and_ends():
    assert not [file for file in FILES if {"utils", "helpers", "misc", "common"} & {*file.parts, file.stem}]


@pytest.mark.parametrize("package", [file for file in FILES if file.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_no_exported_name_hides_a_module(package):
    exported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(package.read_text(encoding="utf-8")))
        if isinstance(node, (ast.ImportFrom, ast.Import))
        for alias in node.names
    }
    assert not exported & {file.stem for file in package.parent.glob("*.py")} - {"moved_names"}


def test_parts_that_need_no_monai_do_not_wait_for_it():
    """Importing MONAI takes four times as long as importing PyTorch."""
    parts = ", ".join(f"dam_components.{name}" for name in ("losses", "metrics", "figures", "synthetic", "precision"))
    script = f"import sys, {parts}; sys.exit('monai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
