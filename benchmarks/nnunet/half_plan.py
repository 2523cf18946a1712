"""nnU-Net's own plan with half of its feature maps and batches of two, for a machine with two cores."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path


def half_plan(
    dataset: str = "Dataset004_Hippocampus",
    configuration: str = "3d_fullres",
    name: str = "nnUNetPlansHalf",
    patch_size: Sequence[int] | None = None,
) -> None:
    """Writes a plan beside ``nnUNetPlans.json``.

    Args:
        dataset: its folder in ``nnUNet_preprocessed``.
        configuration: of the plan.
        name: of the new plan, and of its file.
        patch_size: in nnU-Net's order of axes; ``None`` keeps nnU-Net's.
    """
    folder = Path(os.environ["nnUNet_preprocessed"]) / dataset  # noqa: SIM112
    plan = json.loads((folder / "nnUNetPlans.json").read_text(encoding="utf-8"))
    chosen = plan["configurations"][configuration]
    chosen["batch_size"] = 2
    network = chosen["architecture"]["arch_kwargs"]
    network["features_per_stage"] = [width // 2 for width in network["features_per_stage"]]
    chosen["patch_size"] = chosen["patch_size"] if patch_size is None else list(patch_size)
    plan["plans_name"] = name
    (folder / f"{name}.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")


if __name__ == "__main__":
    import fire

    fire.Fire(half_plan)
