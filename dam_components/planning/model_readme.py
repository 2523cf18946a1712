"""The README of a model's folder, from what lies in the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dam_components.metrics.case_table import read_cases_csv, whole_structures

__all__ = ["model_readme"]


def model_readme(folder: Path) -> str:
    """``docs/README.md``: what the model segments, where it comes from, how good it is, how to use or train it.

    Args:
        folder: with ``configs/metadata.json``; the rest is told where it is there: ``models``, ``docs/training.json``,
            ``docs/metrics.csv``, ``docs/picture.png``, ``docs/data_report.md``.
    """
    metadata = _json(folder / "configs" / "metadata.json")
    training = _json(folder / "docs" / "training.json")
    has_weights = (folder / "models" / "model.pt").is_file()
    own_code = (folder / "scripts").is_dir()  # of a bundle that dam package made
    parts = [
        f"# {metadata['name']}",
        f"{metadata['task']}. The confidence map says for every voxel how far the segmentation can be trusted. "
        + (NEEDS_MONAI if own_code else NEEDS_PACKAGE),
        _data(folder, metadata),
        _origin(training) if has_weights else UNTRAINED,
        *([_results(folder / "docs" / "metrics.csv")] if (folder / "docs" / "metrics.csv").is_file() else []),
        *(["![A case](picture.png)"] if (folder / "docs" / "picture.png").is_file() else []),
        *([USE] if has_weights else []),
        TRAIN if own_code else TRAIN + CALIBRATE,
        "MONAI Label takes the folder as it is. Research use only; not for clinical decisions.",
    ]
    return "\n\n".join(parts) + "\n"


NEEDS_PACKAGE = "The folder needs the Python package `dam-components` and nothing else. It can be moved."
NEEDS_MONAI = "The folder needs MONAI and the packages that `configs/metadata.json` names. It can be moved."
UNTRAINED = "There are no weights yet: train the model first."

USE = """## Use

Run the commands in this folder.

```sh
python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES --output_dir RESULTS
python -m monai.bundle run --config_file "['configs/train.json','configs/evaluate.json']"
```

If a case has a file for each channel, the files are named as in nnU-Net: `CASE_0000.nii.gz`, `CASE_0001.nii.gz`."""

TRAIN = """## Train

Run the commands in this folder. `dataset_dir` in `configs/train.json` says where the data lie; `--dataset_dir` names
another place. The first command trains S and D together.

```sh
python -m monai.bundle run --config_file configs/train.json
```

The confidence map becomes better if D learns from predictions for cases that S did not learn from.

```sh
for part in 0 1 2; do
    python -m monai.bundle run --leave_out $part --seed $((part + 1)) \\
        --config_file "['configs/train.json','configs/crossfit_part.json']"
done
python -m monai.bundle run --config_file \\
    "['configs/train.json','configs/train_confidence.json','configs/crossfit_confidence.json']"
```"""

CALIBRATE = """

Predicted Dice is calibrated last.

```sh
python -m dam_components calibrate --bundle .
```"""


def _data(folder: Path, metadata: Mapping[str, Any]) -> str:
    """Classes, data and the files that say more."""
    lines = [f"Data: {metadata['data_source']}. Classes: {metadata['label_classes']}."]
    cases = _json(folder / "docs" / "cases.json")
    if cases:
        counts = ", ".join(f"{len(names)} {section}" for section, names in cases.items())
        lines.append(f"Cases: {counts}; `cases.json` names them.")
    for name, what in (("data_report.md", "what was found in the data, and the plan"),):
        if (folder / "docs" / name).is_file():
            lines.append(f"`{name}` has {what}.")
    return " ".join(lines)


def _origin(training: Mapping[str, Any]) -> str:
    """Versions, configurations and options of the training."""
    if not training:
        return "## Origin\n\nNothing is known about the training of these weights."
    made, validation = training["made_by"], training["validation"]
    files, options = training["configs"], training["options"]
    rows = {
        "dam-components": f"{made['libraries']['dam-components']}, commit {made['commit'] or 'unknown'}",
        "configurations": ", ".join(files),
        "options": ", ".join(f"{name} {value}" for name, value in options.items()) or "none",
        "epochs": training["epochs"],
        **({f"best {validation['metric']}": f"{validation['best']:.4f}"} if validation else {}),
        **{
            f"then {stage['configs'][-1]}": ", ".join(f"{n} {v}" for n, v in stage["options"].items()) or "no options"
            for stage in training.get("stages", [])
        },
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"## Origin\n\n| | |\n|---|---|\n{table}\n\n`training.json` has all of it."


def _results(file: Path) -> str:
    """Means over the test cases, of every class."""
    rows = read_cases_csv(file)
    whole = whole_structures(rows)
    means = whole.groupby("label", sort=False)[["dice", "asd_mm", "hd95_mm"]].mean()
    lines = [f"| {label} | " + " | ".join(f"{value:.4f}" for value in row) + " |" for label, row in means.iterrows()]
    table = "\n".join(lines)
    return (
        f"## Results\n\nMeans over {rows['case'].nunique()} test cases; `metrics.csv` has each.\n\n"
        f"| class | Dice | ASD, mm | HD95, mm |\n|---|---|---|---|\n{table}"
    )


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
