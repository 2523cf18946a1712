"""The README of a bundle that travels, with the model zoo's headings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dam_components.packaging.zoo_metadata import COLUMNS, table_of_tests

__all__ = ["keep_private", "zoo_readme"]

PRIVATE = ("PROMISE12", "IBSR")  # data whose terms allow no weights to be passed on
PAPER = """@inproceedings{nie2019difficulty,
  title = {Difficulty-Aware Attention Network with Confidence Learning for Medical Image Segmentation},
  author = {Nie, Dong and Wang, Li and Xiang, Lei and Zhou, Sihang and Adeli, Ehsan and Shen, Dinggang},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  volume = {33}, pages = {1085--1092}, year = {2019},
  doi = {10.1609/aaai.v33i01.33011085}
}"""
USE = """Run the commands in the bundle's folder. From another folder, name it with `PYTHONPATH`, since its code lies in
`scripts/`. `DATA` is a dataset with a `dataset.json`, and `IMAGES` an image or a folder of images.

Train:

```
python -m monai.bundle run --config_file configs/train.json --dataset_dir DATA
```

Train on two GPUs:

```
torchrun --standalone --nproc_per_node=2 -m monai.bundle run \\
    --config_file "['configs/train.json','configs/multi_gpu_train.json']" --dataset_dir DATA
```

Evaluate the test cases:

```
python -m monai.bundle run --config_file "['configs/train.json','configs/evaluate.json']" --dataset_dir DATA
```

Infer. Each case gets a segmentation, a confidence map, a report and a picture:

```
python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES --output_dir RESULTS
```

Export S as TorchScript, and S with the confidence map as ONNX (with the packages `onnx` and `onnxscript`):

```
python -m monai.bundle ckpt_export --net_id network_def --filepath models/model.ts --ckpt_file models/model.pt \\
    --meta_file configs/metadata.json --config_file configs/inference.json
python -m monai.bundle onnx_export --net_id network_with_confidence --filepath models/model.onnx \\
    --ckpt_file models/model.pt --meta_file configs/metadata.json \\
    --config_file "['configs/inference.json','configs/export_confidence.json']"
```

In MONAI Label the folder works in the app `monaibundle`."""
LIMITS = """- The weights know images like those they were trained on. For other scanners, sequences or organs, train.
- The confidence map says where the segmentation is likely wrong. It does not replace a look at the image.
- Research only. Not for clinical decisions."""
SHARE = """Before you share the weights, check that the terms of the training data allow it. Nobody may publish or
commit weights that were trained on PROMISE12 or IBSR18."""
NO_WEIGHTS = "The bundle has no weights yet: train it first. Until then the model zoo's check refuses it."


def keep_private(metadata: Mapping[str, Any]) -> list[str]:
    """Names of datasets in the metadata whose weights nobody may publish."""
    text = json.dumps(metadata).upper()
    return [name for name in PRIVATE if name in text]


def zoo_readme(folder: Path, source: Path, lowest: Mapping[str, str], code: str) -> str:
    """The text, from what lies in the packaged folder. Sections of the bundle's own README are taken over.

    Args:
        folder: the packaged bundle, complete but for this file.
        source: the bundle that it was made of.
        lowest: what the code requires of each library.
        code: where ``scripts/`` comes from.
    """
    metadata = _json(folder / "configs" / "metadata.json")
    own = _sections(source / "docs" / "README.md")
    training = _json(folder / "docs" / "training.json")
    has_weights = (folder / "models" / "model.pt").is_file()
    parts = {
        "": f"# {metadata['name']}",
        "### **Authors**": f"{metadata['authors']}. Contact: {metadata['contact']}.",
        "### **Tags**": _tags(metadata),
        "## **Model Description**": _model(metadata, own, folder),
        "## **Data**": _data(folder, metadata, own),
        "#### **Preprocessing**": _preprocessing(metadata, own),
        "## **Performance**": _performance(folder, own, training) if has_weights else NO_WEIGHTS,
        "## **Additional Usage Steps**": USE,
        "## **System Configuration**": _system(metadata, own, training, lowest, code),
        "## **Limitations**": own.get("Limitations", LIMITS),
        "## **Citation Info**": f"```\n{PAPER}\n```",
        "## **References**": own.get("References") or "\n\n".join(metadata["references"]),
        "## **License**": own.get("License", "Code: Apache-2.0 (`LICENSE`).") + f"\n\n{SHARE}",
    }
    return "\n\n".join(f"{title}\n\n{text}".strip() for title, text in parts.items()) + "\n"


def _sections(readme: Path) -> dict[str, str]:
    """Text by heading of the second level, without comments."""
    if not readme.is_file():
        return {}
    text = re.sub(r"<!--.*?-->\n?", "", readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {title: body.strip() for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.M | re.S)}


def _tags(metadata: Mapping[str, Any]) -> str:
    formats = metadata["network_data_format"]
    structures = [name for value, name in formats["outputs"]["pred"]["channel_def"].items() if value != "0"]
    return ", ".join(["Segmentation", formats["inputs"]["image"]["modality"], *structures, "Confidence map"])


def _model(metadata: Mapping[str, Any], own: Mapping[str, str], folder: Path) -> str:
    said = own.get("Model overview", metadata["description"])
    kept = [block for block in said.split("\n\n") if "dam_components" not in block and "dam-components" not in block]
    picture = ["![A case](picture.png)"] if (folder / "docs" / "picture.png").is_file() else []
    return "\n\n".join([*kept, *picture])


def _data(folder: Path, metadata: Mapping[str, Any], own: Mapping[str, str]) -> str:
    if "Data" in own:
        return own["Data"]
    lines = [f"{metadata['data_source']}. Classes: {metadata['label_classes']}."]
    if cases := _json(folder / "docs" / "cases.json"):
        counts = ", ".join(f"{len(names)} {section}" for section, names in cases.items())
        lines.append(f"Cases: {counts}; `cases.json` names them.")
    return " ".join(lines)


def _preprocessing(metadata: Mapping[str, Any], own: Mapping[str, str]) -> str:
    if "Input" in own:
        return own["Input"] + "\n\n#### **Output**\n\n" + own.get("Output", "")
    image = metadata["network_data_format"]["inputs"]["image"]
    return (
        f"Input: {metadata['image_classes']}, in windows of {'x'.join(map(str, image['spatial_shape']))} voxels.\n\n"
        f"#### **Output**\n\n{metadata['pred_classes']}, and a confidence of 0 to 1 for each voxel."
    )


def _performance(folder: Path, own: Mapping[str, str], training: Mapping[str, Any]) -> str:
    parts = [own["Performance"]] if "Performance" in own else []
    rows = table_of_tests(folder)
    if rows is not None:
        parts = [_table(rows), "![Dice of the test cases](test_cases.png)"]
    if validation := training.get("validation"):
        parts.append(f"The best {validation['metric']} of the validation cases was {validation['best']:.4f}.")
    if (folder / "docs" / "training.png").is_file():
        parts.append("![Losses and validation](training.png)")
    return "\n\n".join(parts or ["No test case has been evaluated yet; the command is below."])


def _table(rows: pd.DataFrame) -> str:
    means = rows.groupby("label", sort=False)[list(COLUMNS)].mean()
    lines = [f"| {label} | " + " | ".join(f"{value:.4f}" for value in row) + " |" for label, row in means.iterrows()]
    said = f"Means over {rows['case'].nunique()} test cases; `metrics.csv` has each."
    return "\n".join([said, "", "| class | Dice | ASD, mm | HD95, mm |", "|---|---|---|---|", *lines])


def _system(
    metadata: Mapping[str, Any],
    own: Mapping[str, str],
    training: Mapping[str, Any],
    lowest: Mapping[str, str],
    code: str,
) -> str:
    parts = [own["Training configuration"]] if "Training configuration" in own else []
    if training:
        options = ", ".join(f"{name} {value}" for name, value in training["options"].items()) or "no options"
        parts.append(f"Trained for {training['epochs']} epochs, seed {training['seed']}, with {options}.")
    ranges = ", ".join(f"{name} {said}" for name, said in lowest.items())
    parts.append(
        f"`scripts/` is code of {code}.\nIt was packaged with the versions in `metadata.json`; the model zoo installs "
        f"just those. The code itself requires\n{ranges}.\nA GPU is not needed."
    )
    return "\n\n".join(parts)


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
