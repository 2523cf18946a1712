"""``python -m dam_components COMMAND``: the commands, by name. ``COMMAND --help`` explains one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import fire

from dam_components.commands.calibration import calibrate
from dam_components.commands.demonstration import demo
from dam_components.commands.planning import new_bundle
from dam_components.commands.synthesis import synthesize
from dam_components.errors import plain_errors
from dam_components.options import check_command_options

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, Callable[..., Any]] = {
    "calibrate": calibrate,
    "demo": demo,
    "new_bundle": new_bundle,
    "synthesize": synthesize,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs the command that the arguments name, by default those of the process."""
    plain_errors()
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:
        check_command_options(COMMANDS[given[0]], given[1:])
    fire.Fire(COMMANDS, command=arguments, name="python -m dam_components")
