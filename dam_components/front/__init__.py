"""What every command line shares: it lists commands, prints help, checks options, and starts python-fire last."""

from dam_components.front.dispatch import run_command, run_commands

__all__ = ["run_command", "run_commands"]
