"""What a command is, read from its source file: nothing that the command needs is imported."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Command", "Option", "describe_command"]


@dataclass(frozen=True)
class Option:
    """One parameter of a command.

    Attributes:
        name: as Python has it.
        kinds: names in its annotation, such as ``{"int", "None"}``.
        default: as its source has it; ``None`` if the option is required.
        text: its line in the docstring.
    """

    name: str
    kinds: frozenset[str]
    default: str | None
    text: str

    @property
    def is_text(self) -> bool:
        """Whether a value is taken as it stands; ``12e45678`` is no number then."""
        return bool(self.kinds) and self.kinds <= {"str", "Path", "PathLike", "None"}

    @property
    def is_switch(self) -> bool:
        """Whether the option may come without a value."""
        return "bool" in self.kinds


@dataclass(frozen=True)
class Command:
    """A command: its options, and what its docstring says of it."""

    summary: str
    details: str
    options: tuple[Option, ...]


def describe_command(target: str) -> Command:
    """Reads a command from its source.

    Args:
        target: ``"package.module:function"``.

    Raises:
        ValueError: if the module has no such function.

    Example:
        >>> command = describe_command("dam_components.commands.synthesis:synthesize")
        >>> [option.name for option in command.options][:2], command.options[0].default
        (['output', 'cases'], None)
    """
    module, _, name = target.partition(":")
    tree = ast.parse(_source_file(module).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not found:
        raise ValueError(f"{module} has no function {name}")
    constants = {
        place.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for place in node.targets
        if isinstance(place, ast.Name)
    }
    text = ast.get_docstring(found[0]) or ""
    head, _, rest = text.partition("\n\nArgs:\n")
    summary, _, details = head.partition("\n\n")
    helps = _argument_texts(rest)
    options = tuple(
        Option(argument.arg, _kinds(argument.annotation), _shown(default, constants), helps.get(argument.arg, ""))
        for argument, default in _parameters(found[0].args)
    )
    return Command(_plain(summary), _plain(re.split(r"\n\n(?:Raises|Example|Returns):\n", details)[0]), options)


def _source_file(module: str) -> Path:
    loaded = sys.modules.get(module)
    file = loaded.__file__ if loaded is not None else getattr(importlib.util.find_spec(module), "origin", None)
    if file is None:
        raise ValueError(f"there is no module {module}")
    return Path(file)


def _parameters(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    plain = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    yield from zip(plain, [*missing, *arguments.defaults], strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def _kinds(annotation: ast.expr | None) -> frozenset[str]:
    nodes = ast.walk(annotation) if annotation is not None else ()
    names = [getattr(node, "id", getattr(node, "attr", None)) for node in nodes]
    return frozenset(name for name in names if name and name != "os") | (
        {"None"} if annotation is not None and "None" in ast.unparse(annotation) else set()
    )


def _shown(default: ast.expr | None, constants: dict[str, ast.expr]) -> str | None:
    if isinstance(default, ast.Name):  # a constant of the module
        default = constants.get(default.id, default)
    return None if default is None else ast.unparse(default)


def _argument_texts(section: str) -> dict[str, str]:
    """The lines of a docstring's ``Args:`` by name."""
    texts: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n" + section.split("\n\n")[0]).splitlines():
        if start := re.match(r"(\w+): *(.*)", line):
            name, texts[start[1]] = start[1], start[2]
        elif name:
            texts[name] += f" {line.strip()}"
    return {name: _plain(text) for name, text in texts.items()}


def _plain(text: str) -> str:
    """Without the marks of reStructuredText."""
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", text).replace("``", "")
