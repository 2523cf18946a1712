"""``dam COMMAND``, or ``python -m dam_components COMMAND``. A command is imported when it is run, never before."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dam_components.front import run_commands

__all__ = ["COMMANDS", "main"]

ABOUT = "3D segmentation with a voxel-wise confidence map: train, calibrate and review models."
COMMANDS: dict[str, str | dict[str, str]] = {
    "calibrate": "dam_components.commands.calibration:calibrate",
    "confidence": {
        "fit": "dam_components.commands.confidence_model:fit",
        "apply": "dam_components.commands.confidence_maps:apply",
    },
    "demo": "dam_components.commands.demonstration:demo",
    "new_bundle": "dam_components.commands.planning:new_bundle",
    "package": "dam_components.commands.packaging:package",
    "review": "dam_components.commands.reviewing:review",
    "synthesize": "dam_components.commands.synthesis:synthesize",
    "train": "dam_components.commands.training:train",
}


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command that the words name, by default those of the process."""
    program = "python -m dam_components" if Path(sys.argv[0]).name == "__main__.py" else "dam"
    run_commands(COMMANDS, program, ABOUT, words)
