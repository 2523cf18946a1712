"""A complete bundle for a dataset: the project's configurations with a plan's values in place of the default task's."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dam_components.atomic_files import write_whole
from dam_components.data.dataset_layouts import CASE_KEY, PATIENT_KEY, SourceDataset, case_name
from dam_components.data.finding import Finding
from dam_components.planning.config_text import config_text
from dam_components.planning.data_report import report_json, report_markdown
from dam_components.planning.fingerprint import Fingerprint
from dam_components.planning.label_files import write_labels
from dam_components.planning.model_configs import training_entries
from dam_components.planning.model_folder import write_model_folder
from dam_components.planning.model_metadata import model_metadata
from dam_components.planning.plan import CtRange, Plan

__all__ = ["write_planned_bundle"]

SYMBOLS = (  # of a plan in the configuration
    *("spacing", "patch_size", "strides", "channels", "overlap", "largest_component", "crop_nonzero", "batch_size"),
    *("patches_per_case", "rotation", "flip", "epochs", "val_interval", "folds", "keep_last", "cache_rate"),
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
        entries = planned_entries(source, dataset, fingerprint, plan)
        dataset_dir = str(dataset.folder)
        if has_own_list(dataset):
            dataset_dir = "$@bundle_root + '/data'"
            labels = write_labels(dataset, folder / "data" / "labels") if dataset.writes_labels else {}
            placed = {case: target / file.relative_to(folder) for case, file in labels.items()}
            write_whole(folder / "data" / "dataset.json", config_text(case_list(dataset, fingerprint, placed)))
        metadata = model_metadata(
            json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8")),
            dataset.name,
            dataset.licence,
            fingerprint.channel_names,
            fingerprint.label_names,
            plan.patch_size,
            ct=plan.ct is not None,
            change="written by python -m dam_components new_bundle; not trained yet",
        )
        docs = {
            "data_report.md": report_markdown(dataset, fingerprint, plan, findings),
            "data_report.json": report_json(dataset, fingerprint, plan, findings),
        }
        write_model_folder(folder, source, entries, {"dataset_dir": dataset_dir}, metadata, docs)
        os.replace(folder, target)


def planned_entries(source: Path, dataset: SourceDataset, fingerprint: Fingerprint, plan: Plan) -> dict[str, Any]:
    """The source's training with the plan's values in place of its own."""
    values = plan.as_json()
    entries = training_entries([source / "configs" / "train.json"])
    entries |= {name: values[name] for name in SYMBOLS}
    entries["_task_"] = f"planned for {dataset.name}, see docs/data_report.md"
    entries["image_channels"] = len(fingerprint.channel_names)
    entries["label_names"] = fingerprint.label_names
    if plan.ct is not None:
        entries["intensity"] = ct_scale(plan.ct)
    elif plan.crop_nonzero:
        entries["intensity"] = {**entries["intensity"], "nonzero": True}
    return entries


def has_own_list(dataset: SourceDataset) -> bool:
    """Whether the bundle lists the cases itself: the dataset has no list of the Decathlon's, labels change, or a name
    ends in four digits, ``amos_0001``, which folds would take for a channel."""
    digits = any(case_name(case.name) != case.name for case in dataset.cases)
    return dataset.layout != "decathlon" or dataset.writes_labels or digits


def case_list(dataset: SourceDataset, fingerprint: Fingerprint, labels: Mapping[str, Path]) -> dict[str, Any]:
    """The cases in the Decathlon's layout, by name and absolute paths: the bundle's own list.

    Args:
        dataset: the cases.
        fingerprint: of the dataset.
        labels: the files of labels that were written, by case.
    """
    cases: list[dict[str, Any]] = []
    shared = dataset.patients < len(dataset.cases)
    for case in dataset.cases:
        files = [str(file) for file in case.images]
        label = str(labels.get(case.name, case.label))
        owner = {PATIENT_KEY: case.patient} if case.patient and shared else {}
        cases.append({"image": files if len(files) > 1 else files[0], "label": label, CASE_KEY: case.name, **owner})
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
