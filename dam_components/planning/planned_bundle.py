"""A complete bundle for a dataset: the project's configurations with a plan's values in place of the default task's."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dam_components.data.dataset_layouts import SourceDataset
from dam_components.data.finding import Finding
from dam_components.planning.config_text import config_text
from dam_components.planning.data_report import report_json, report_markdown
from dam_components.planning.fingerprint import Fingerprint
from dam_components.planning.label_files import write_labels
from dam_components.planning.plan import CtRange, Plan

__all__ = ["COPIED", "write_planned_bundle"]

COPIED = (  # overlays that hold nothing of a task
    "train_confidence.json",
    "crossfit_part.json",
    "crossfit_confidence.json",
    "stored_probabilities.json",
    "stored_inference.json",
    "evaluate.json",
    "multi_gpu_train.json",
    "multi_gpu_evaluate.json",
    "ensemble.json",
    "export_confidence.json",
    "federated.json",
    "logging.conf",
)
FLIPS = "flips.json"  # only where training flips
CHANGED = ("train.json", "inference.json", "metadata.json")
SHARED = ("spacing", "patch_size", "strides", "channels", "overlap", "largest_component", "crop_nonzero")
TRAINING = (
    *("batch_size", "patches_per_case", "rotation", "flip", "epochs", "val_interval", "folds", "keep_last"),
    "cache_rate",
)


def write_planned_bundle(
    target: Path,
    source: Path,
    dataset: SourceDataset,
    fingerprint: Fingerprint,
    plan: Plan,
    findings: Sequence[Finding],
) -> None:
    """Writes the bundle to a folder beside the target and renames it, so that the target is complete or not there.

    Args:
        target: the new bundle.
        source: the project's bundle, whose configurations are taken.
        dataset: what it trains on.
        fingerprint: of the dataset.
        plan: for the dataset.
        findings: of the checks, for the report.

    Raises:
        FileExistsError: there is something at ``target``.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists: name another folder with --output, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as partial:
        folder = Path(partial, target.name)
        for part in ("configs", "docs", "models"):
            (folder / part).mkdir(parents=True)
        for name in (*COPIED, *((FLIPS,) if plan.flip else ())):
            shutil.copyfile(source / "configs" / name, folder / "configs" / name)
        shutil.copyfile(source / "LICENSE", folder / "LICENSE")
        configs = {name: json.loads((source / "configs" / name).read_text(encoding="utf-8")) for name in CHANGED}
        put_in_train(configs["train.json"], dataset, fingerprint, plan)
        put_in_inference(configs["inference.json"], dataset, fingerprint, plan)
        put_in_metadata(configs["metadata.json"], dataset, fingerprint, plan)
        texts = {f"configs/{name}": config_text(config) for name, config in configs.items()}
        if has_own_list(dataset):
            labels = write_labels(dataset, folder / "data" / "labels") if dataset.writes_labels else {}
            (folder / "data").mkdir(exist_ok=True)
            placed = {case: target / file.relative_to(folder) for case, file in labels.items()}
            texts["data/dataset.json"] = config_text(case_list(dataset, fingerprint, placed))
        texts["docs/README.md"] = readme(target, dataset, fingerprint)
        texts["docs/data_report.md"] = report_markdown(dataset, fingerprint, plan, findings)
        texts["docs/data_report.json"] = config_text(report_json(dataset, fingerprint, plan, findings))
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        os.replace(folder, target)


def put_in_train(config: dict[str, Any], dataset: SourceDataset, fingerprint: Fingerprint, plan: Plan) -> None:
    """The values of the task's symbols."""
    config["_task_"] = f"planned for {dataset.name}, see docs/data_report.md"
    _put_symbols(config, dataset, fingerprint, plan, (*SHARED, *TRAINING))


def put_in_inference(config: dict[str, Any], dataset: SourceDataset, fingerprint: Fingerprint, plan: Plan) -> None:
    """The symbols that training and inference share."""
    config["_task_"] = f"planned for {dataset.name}; as in train.json"
    _put_symbols(config, dataset, fingerprint, plan, SHARED)


def put_in_metadata(config: dict[str, Any], dataset: SourceDataset, fingerprint: Fingerprint, plan: Plan) -> None:
    """What the networks take and give, in words and numbers. Figures of the default task go."""
    labels = {"0": "background", **fingerprint.label_names}
    channels, structures = ", ".join(fingerprint.channel_names), ", ".join(fingerprint.label_names.values())
    scale = "clipped and normalised by the structures' mean and standard deviation"
    config.pop("eval_metrics", None)
    config.update(
        {
            "version": "0.1.0",
            "changelog": {"0.1.0": "written by python -m dam_components new_bundle; not trained yet"},
            "name": f"Difficulty-aware {dataset.name} segmentation",
            "task": f"Segmentation of {structures} in {channels} with a confidence map",
            "data_source": dataset.name + (f", {dataset.licence}" if dataset.licence else ""),
            "data_type": "what MONAI reads: NIfTI; MetaImage and DICOM series with ITK",
            "image_classes": f"{len(fingerprint.channel_names)} channels ({channels}), "
            + (scale if plan.ct else "normalised to zero mean and unit variance"),
            "label_classes": ", ".join(f"{value} {name}" for value, name in labels.items()),
            "pred_classes": f"{len(labels)} channels: {', '.join(labels.values())}",
        }
    )
    image = config["network_data_format"]["inputs"]["image"]
    pred = config["network_data_format"]["outputs"]["pred"]
    image["format"] = "hounsfield" if plan.ct else "magnitude"
    image["modality"] = "CT" if plan.ct else channels
    image["num_channels"], pred["num_channels"] = len(fingerprint.channel_names), len(labels)
    image["spatial_shape"] = pred["spatial_shape"] = plan.patch_size
    image["channel_def"] = {str(number): name for number, name in enumerate(fingerprint.channel_names)}
    pred["channel_def"] = labels


def has_own_list(dataset: SourceDataset) -> bool:
    """Whether the bundle lists the cases itself: the dataset has no list of the Decathlon's, or labels change."""
    return dataset.layout != "decathlon" or dataset.writes_labels


def case_list(dataset: SourceDataset, fingerprint: Fingerprint, labels: Mapping[str, Path]) -> dict[str, Any]:
    """The cases in the Decathlon's layout, by absolute paths: the bundle's own list where the dataset has none.

    Args:
        dataset: the cases.
        fingerprint: of the dataset.
        labels: the files of labels that were written, by case.
    """
    cases: list[dict[str, Any]] = []
    for case in dataset.cases:
        files = [str(file) for file in case.images]
        label = str(labels.get(case.name, case.label))
        cases.append({"image": files if len(files) > 1 else files[0], "label": label})
    converted = "labels written as classes, no image copied" if labels else "no image was copied or converted"
    return {
        "name": dataset.name,
        "description": f"made from {dataset.folder} ({dataset.layout}); {converted}",
        "licence": dataset.licence,
        "modality": dict(enumerate(fingerprint.channel_names)),
        "labels": {"0": "background", **fingerprint.label_names},
        "numTraining": len(cases),
        "training": cases,
    }


def readme(target: Path, dataset: SourceDataset, fingerprint: Fingerprint) -> str:
    """``docs/README.md``."""
    labels = ", ".join(fingerprint.label_names.values())
    return f"""# Difficulty-aware {dataset.name} segmentation

Segments {labels} in {", ".join(fingerprint.channel_names)}, and says voxel by voxel how far the segmentation can be
trusted. Written by `python -m dam_components new_bundle` for {fingerprint.cases} cases; `data_report.md` has what was
found in the data and the plan that was made for it. Needs the package `dam_components`; everything else is MONAI.

There are no weights yet. Train S and D, then judge them on the cases that they did not see:

```sh
python -m monai.bundle run --config_file {target.name}/configs/train.json
python -m monai.bundle run --config_file "['{target.name}/configs/train.json','{target.name}/configs/evaluate.json']"
python -m monai.bundle run --config_file {target.name}/configs/inference.json --dataset_dir IMAGES
```

The confidence map is best when D learns from what S does on cases that it did not see, and predicted Dice when it is
calibrated:

```sh
for part in 0 1 2; do
    python -m monai.bundle run --leave_out $part --seed $((part + 1)) \\
        --config_file "['{target.name}/configs/train.json','{target.name}/configs/crossfit_part.json']"
done
python -m monai.bundle run --config_file \\
    "['{target.name}/configs/train.json','{target.name}/configs/train_confidence.json',\
'{target.name}/configs/crossfit_confidence.json']"
python -m dam_components calibrate --bundle {target.name}
python -m dam_study confidence --bundle {target.name}
```

`--folds#fold K` tests another fold; `--epochs N` shortens or lengthens a training. Images for inference that have
several files for their channels are named as nnU-Net does: `CASE_0000.nii.gz`, `CASE_0001.nii.gz`.

MONAI Label takes the folder as it is, once `models/model.pt` is there. `dataset_dir` in `configs/` says where the data
lies; name another place with `--dataset_dir`. Research use only; not for clinical decisions.
"""


def _put_symbols(
    config: dict[str, Any], dataset: SourceDataset, fingerprint: Fingerprint, plan: Plan, names: Sequence[str]
) -> None:
    own_list = "$@bundle_root + '/data'"
    config["dataset_dir"] = own_list if has_own_list(dataset) else str(dataset.folder)
    config["image_channels"] = len(fingerprint.channel_names)
    config["label_names"] = fingerprint.label_names
    values = plan.as_json()
    config.update({name: values[name] for name in names})
    if plan.ct is not None:
        config["intensity"] = ct_scale(plan.ct)
    elif plan.crop_nonzero:
        config["intensity"] = {**config["intensity"], "nonzero": True}


def ct_scale(ct: CtRange) -> dict[str, Any]:
    """The transform that cuts CT numbers, and normalises them by the structures' mean and deviation."""
    return {
        "_target_": "ScaleIntensityRanged",
        "_desc_": f"cut at {ct.low:g} and {ct.high:g}, minus the mean {ct.mean:g}, over the deviation {ct.sd:g}",
        "keys": "image",
        "a_min": ct.low,
        "a_max": ct.high,
        "b_min": round((ct.low - ct.mean) / ct.sd, 6),
        "b_max": round((ct.high - ct.mean) / ct.sd, 6),
        "clip": True,
    }
