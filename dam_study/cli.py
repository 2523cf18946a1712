"""``python -m dam_study COMMAND``: the commands of the study. A command is imported when it is run, never before."""

from __future__ import annotations

from collections.abc import Sequence

from dam_components.front import run_commands

__all__ = ["COMMANDS", "main"]

ABOUT = "The experiments that measured the parts: cells of the paper's tables, the confidence study, reports."
COMMANDS = {
    "active_learning": "dam_study.commands.labelling:active_learning",
    "case_number": "dam_study.commands.case_number:case_number",
    "compare": "dam_study.commands.comparison:compare",
    "confidence": "dam_study.commands.confidence_study:confidence",
    "experiment": "dam_study.commands.single_cell:experiment",
    "report": "dam_study.commands.results:report",
}


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command that the words name, by default those of the process."""
    run_commands(COMMANDS, "python -m dam_study", ABOUT, words)
