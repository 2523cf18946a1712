"""Parts of the bundle's training by their ids in train.json, on a dataset of one's choice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

__all__ = ["bundle_parts", "hippocampus"]

CONFIGS = Path(__file__).parents[1] / "bundle" / "configs"


def bundle_parts(**overrides: Any) -> ConfigParser:
    """train.json, parsed, with symbols replaced: ``bundle_parts(batch_size=1).get_parsed_content("train#dataloader")``.

    An override ``tasks`` names an overlay of ``configs/tasks``.
    """
    task = overrides.pop("tasks", None)
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.json"), *([str(CONFIGS / "tasks" / f"{task}.json")] if task else [])])
    parser.update({name.replace("#", "::"): value for name, value in overrides.items()})
    return parser


def hippocampus() -> str:
    """The folder of the hippocampus cases, under the environment's DAM_DATA or beside the project."""
    data = os.environ.get("DAM_DATA", str(CONFIGS.parents[2] / "shared" / "data"))
    return str(Path(data) / "Task04_Hippocampus")
