"""The configurations of a model's folder: they hold the values that it is trained with, and no place outside it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

__all__ = ["model_configs", "training_entries"]

RUN_ONLY = "_run_only_"  # a key of overlays that say how one run is done, not what is trained
PLACES = (  # where things lie and how one run is done: as in the source's own train.json
    *("bundle_root", "ckpt_dir", "output_dir", "work_dir", "network_dir", "device", "main_process", "resume"),
    "pretrained",
)
NOT_TRAINING = ("weights", "confidence_weights", "calibration", "section", "flip_axes")  # of other configurations
OVERLAYS = (  # hold nothing of a task
    *("train_confidence.json", "crossfit_part.json", "crossfit_confidence.json", "multi_gpu_train.json"),
    *("multi_gpu_evaluate.json", "ensemble.json", "export_confidence.json", "federated.json"),
    *("stored_probabilities.json", "stored_inference.json"),
)
PER_KEY = ("keys", "mode", "padding_mode", "align_corners", "dtype")  # arguments with an item for each key
REFERENCE = re.compile(r"@(\w+)")


def training_entries(files: Sequence[Path], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The merged configuration of a training as MONAI reads it, without overlays that only say how this run is done.

    Args:
        files: configuration files in their order.
        overrides: entries by name on top; those of a left-out overlay are left out too.

    Returns:
        The entries as written, nothing evaluated.
    """
    kept = [file for file in files if RUN_ONLY not in json.loads(Path(file).read_text(encoding="utf-8"))]
    parser = ConfigParser()
    parser.read_config([str(file) for file in kept])
    known = {
        name: value
        for name, value in (overrides or {}).items()
        if re.split("#|::", name.removeprefix("+"))[0] in parser.get()
    }
    parser.update(copy.deepcopy(known))
    return dict(parser.get())


def model_configs(source: Path, entries: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Configurations by file name: ``train.json``, ``inference.json``, ``evaluate.json``, and overlays for any task.

    Args:
        source: the bundle that was trained with, whose configurations are the pattern.
        entries: the training's configuration, of :func:`training_entries`.
        changes: entries for ``train.json`` and, where it has them, ``inference.json``: the places in the new folder.

    Returns:
        Contents ready for :func:`~dam_components.planning.config_text.config_text`.
    """

    def pattern(name: str) -> dict[str, Any]:
        return dict(json.loads((source / "configs" / name).read_text(encoding="utf-8")))

    own = pattern("train.json")
    train = {name: value for name, value in entries.items() if name in own or name not in NOT_TRAINING}
    train = {**train, **{name: own[name] for name in PLACES if name in own}}
    train = {name: value for name, value in train.items() if name in own or name not in (*PLACES, "_meta_")}
    train |= {"_desc_": own["_desc_"], "model_dir": "@bundle_root", **changes}
    inference = _inference(pattern("inference.json"), train, own)
    inference |= {name: value for name, value in changes.items() if name in inference}
    evaluate = pattern("evaluate.json")
    if "flip_axes" in entries:
        evaluate["flip_axes"] = inference["flip_axes"] = entries["flip_axes"]
    overlays = [name for name in OVERLAYS if (source / "configs" / name).is_file()]
    if train.get("flip"):  # P averaged over flips: only where training flipped
        overlays.append("flips.json")
    return {
        "train.json": train,
        "inference.json": inference,
        "evaluate.json": evaluate,
        **{name: pattern(name) for name in overlays},
    }


def _inference(pattern: dict[str, Any], train: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The pattern with the training's symbols, networks, windows and preprocessing."""
    steps = [_for_the_image(step) for step in train["train"]["preprocessing_transforms"]]
    names = [name for name, value in pattern.items() if name not in PLACES and own.get(name) == value]
    names += ["network_def", "confidence_network_def", *_referred(steps)]
    for part in ("inferer", "windows"):
        ours, theirs = train["validate"][part], own["validate"][part]
        changed = {name: value for name, value in ours.items() if theirs.get(name) != value}
        pattern[part] = dict(ours) if "_target_" in changed else {**pattern[part], **changed}
        names += _referred(changed)
    for name in _closure(names, train):
        pattern[name] = copy.deepcopy(train[name])
    pattern["preprocessing"]["transforms"] = steps
    return pattern


def _closure(names: Sequence[str], entries: Mapping[str, Any]) -> list[str]:
    """The names and all that their entries refer to, but what only a run knows."""
    found: list[str] = []
    queue = [*names]
    while queue:
        name = queue.pop(0)
        if name in found or name in PLACES or name not in entries:
            continue
        found.append(name)
        queue += _referred(entries[name])
    return found


def _referred(value: Any) -> list[str]:
    """Names of the entries that a value refers to."""
    if isinstance(value, Mapping):
        return [name for item in value.values() for name in _referred(item)]
    if isinstance(value, list):
        return [name for item in value for name in _referred(item)]
    return REFERENCE.findall(value) if isinstance(value, str) and value[:1] in "@$%" else []


def _for_the_image(step: Any) -> Any:
    """A transform of image and label, for the image alone.

    Example:
        >>> _for_the_image({"_target_": "Spacingd", "keys": ["image", "label"], "mode": ["bilinear", "nearest"]})
        {'_target_': 'Spacingd', 'keys': 'image', 'mode': 'bilinear'}
    """
    if not isinstance(step, Mapping) or not isinstance(step.get("keys"), list) or "label" not in step["keys"]:
        return step
    here = [place for place, key in enumerate(step["keys"]) if key != "label"]
    alone = {name: value for name, value in step.items() if name != "allow_missing_keys"}
    for name in PER_KEY:
        if isinstance(alone.get(name), list):
            values = [alone[name][place] for place in here]
            alone[name] = values[0] if len(values) == 1 else values
    return alone
