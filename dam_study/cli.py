"""``python -m dam_study COMMAND``: the commands of the study, by name. ``COMMAND --help`` explains one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import fire

from dam_components.errors import plain_errors
from dam_components.options import check_command_options
from dam_study.commands.comparison import compare
from dam_study.commands.confidence_study import confidence
from dam_study.commands.labelling import active_learning
from dam_study.commands.results import report
from dam_study.commands.single_cell import experiment

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, Callable[..., Any]] = {
    "active_learning": active_learning,
    "compare": compare,
    "confidence": confidence,
    "experiment": experiment,
    "report": report,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs the command that the arguments name, by default those of the process."""
    plain_errors()
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:
        check_command_options(COMMANDS[given[0]], given[1:])
    fire.Fire(COMMANDS, command=arguments, name="python -m dam_study")
