"""``python -m dam_components COMMAND``: the commands, by name. ``COMMAND --help`` explains one."""

from __future__ import annotations

import sys

import fire

from dam_components.commands import (
    active_learning,
    calibrate,
    compare,
    demo,
    experiment,
    new_bundle,
    report,
    synthesize,
)
from dam_components.errors import plain_errors
from dam_components.options import check_command_options
from dam_components.report.confidence_study import confidence

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "active_learning": active_learning,
    "calibrate": calibrate,
    "compare": compare,
    "confidence": confidence,
    "demo": demo,
    "experiment": experiment,
    "new_bundle": new_bundle,
    "report": report,
    "synthesize": synthesize,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs the command that the arguments name, by default those of the process."""
    plain_errors()
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:
        check_command_options(COMMANDS[given[0]], given[1:])
    fire.Fire(COMMANDS, command=arguments, name="python -m dam_components")
