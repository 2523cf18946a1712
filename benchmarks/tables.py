"""A table as Markdown and CSV, with the machine that it was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pandas as pd
import torch

from dam_components.atomic_files import write_whole
from dam_components.confidence.evidence_table import markdown_table

__all__ = ["machine", "write_table"]


def machine(device: str | torch.device = "cpu") -> str:
    """The device, threads and versions, in a line."""
    name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else platform.machine()
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def write_table(
    table: pd.DataFrame, output_dir: str | Path, name: str, title: str, device: str = "cpu", command: str | None = None
) -> None:
    """Prints the table and writes ``<name>.md`` and ``<name>.csv``; the command is the module of that name's."""
    folder = Path(output_dir)
    text = f"# {title}\n\n`python -m benchmarks.{command or name}`; {machine(device)}.\n\n{markdown_table(table)}\n"
    print(text)
    for suffix, content in (("md", text), ("csv", table.to_csv(index=False))):
        write_whole(folder / f"{name}.{suffix}", content)
