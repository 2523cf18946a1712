"""What the numbers of a confidence study come from: its command, data, folds and machine."""

from __future__ import annotations

import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dam_components.confidence.case_evidence import CALIBRATED
from dam_components.metrics import DiceCalibration
from dam_study.confidence.fold_study import FoldStudy

__all__ = ["describe_machine", "shared_words", "shell_command", "study_facts"]


def study_facts(
    studies: Sequence[FoldStudy], spoilers: int, severity: float, band_mm: float, resamples: str, seed: int
) -> dict[str, str]:
    """The facts by name, in the order in which a page tells them.

    Args:
        studies: the folds, after :meth:`FoldStudy.gather`.
        spoilers: how many ways a case was made hard in.
        severity: of hard cases.
        band_mm: width of the band.
        resamples: their number and kind.
        seed: of the bootstrap.
    """
    first = studies[0]
    cases = sum(len(study.clean) for study in studies)
    hard = f", each made hard in {spoilers} ways, severity {severity:g}" if spoilers else ""
    folds = first.parser.get_parsed_content("folds") | {"fold": ", ".join(str(study.fold) for study in studies)}
    dataset = Path(str(first.parser.get_parsed_content("dataset_dir"))).name
    facts = {
        "data": f"{dataset}, section {first.section}, {cases} cases{hard}",
        "folds": ", ".join(f"{key} {value}" for key, value in folds.items()),
        "band": f"{band_mm:g} mm on each side of a surface of label or prediction",
        "intervals": f"95 %, {resamples} of the cases, seed {seed}",
    }
    if temperatures := [f"{study.temperature:.4f}" for study in studies if study.temperature is not None]:
        facts["temperature"] = ", ".join(temperatures)
    if errors := [counts for study in studies for counts in study.errors]:
        facts["errors"] = shared_words(errors)
    if first.learnt is not None:
        facts[CALIBRATED] = f"by {first.calibration_file.name}, {_interval_words(first.learnt)}"
    return facts | {"machine": describe_machine(first.device)}


def shell_command(command: str, asked: Mapping[str, Any]) -> str:
    """The command line of a command of this package with these options; ``None`` and the empty string are left out.

    Example:
        >>> shell_command("confidence", {"bundle": "bundle", "fold": None, "flip_axes": (0, 1), "hard": True})
        'python -m dam_study confidence --bundle bundle --flip_axes 0,1 --hard True'
    """
    words = ["python", "-m", "dam_study", command]
    for name, value in asked.items():
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        text = json.dumps(value) if isinstance(value, dict) else text
        words += [] if value is None or not text else [f"--{name}", text]
    return shlex.join(words)


def describe_machine(device: torch.device) -> str:
    """The kind of machine that the times were taken on."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def shared_words(errors: Sequence[tuple[int, int]]) -> str:
    """What a page says of the errors that networks share, over all cases."""
    wrong, shared = (sum(counts) for counts in zip(*errors, strict=True))
    share = shared / max(wrong, 1)
    return f"{share:.1%} of S's {wrong} wrong voxels are predicted the same by every network of the ensemble"


def _interval_words(calibration: DiceCalibration) -> str:
    return "no interval" if calibration.level is None else f"with intervals that should hold {calibration.level:.0%}"
