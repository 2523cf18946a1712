"""nnU-Net's own plan with half of its feature maps and batches of two, for a machine with two cores."""

from __future__ import annotations

import json
import os
from pathlib import Path


def half_plan(dataset: str = "Dataset004_Hippocampus", configuration: str = "3d_fullres") -> None:
    """Writes ``nnUNetPlansHalf.json`` beside ``nnUNetPlans.json``."""
    folder = Path(os.environ["nnUNet_preprocessed"]) / dataset  # noqa: SIM112
    plan = json.loads((folder / "nnUNetPlans.json").read_text(encoding="utf-8"))
    chosen = plan["configurations"][configuration]
    chosen["batch_size"] = 2
    network = chosen["architecture"]["arch_kwargs"]
    network["features_per_stage"] = [width // 2 for width in network["features_per_stage"]]
    plan["plans_name"] = "nnUNetPlansHalf"
    (folder / "nnUNetPlansHalf.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")


if __name__ == "__main__":
    import fire

    fire.Fire(half_plan)
