"""What one cell of the experiments is: its configurations, its folds, its full settings and their hash."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from dam_components.atomic_files import write_whole
from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.data import decathlon_split, make_folds
from dam_components.data.dataset_split import patients_of
from dam_study.experiments.cell_hash import hash_run, hash_sources

__all__ = ["PROTOCOLS", "PlannedCell", "plan_cell"]

PROTOCOLS = ("kfold", "two-fold", "leave-one-out")
# entries that say where things are, not what is done
PLACES = ("model_dir", "ckpt_dir", "output_dir", "dataset_dir", "weights", "confidence_weights", "folds_file", "resume")


@dataclass(frozen=True)
class PlannedCell:
    """One system on one fold of one dataset with one seed.

    Attributes:
        folder: ``RUNS/<task>/<system>/fold<f>-seed<s>-<hash>``.
        train: configurations of the training, in order; the cell's own setup goes on top.
        evaluate: configurations of the evaluation, likewise.
        setup: entries that go on top of both.
        settings: what a report needs to know: system, data, protocol, fold, seed, hash and ``entries``, the merged
            configuration of the training as written.
        folds: content of the fold file that ``setup`` names.
    """

    folder: Path
    train: list[Path]
    evaluate: list[Path]
    setup: dict[str, Any]
    settings: dict[str, Any]
    folds: dict[str, Any]

    def store_folds(self) -> None:
        """Writes the fold file, if it is not there: all cells of the same folds read it."""
        file = Path(self.setup["folds_file"])
        if not file.is_file():
            write_whole(file, json.dumps(self.folds, indent=1) + "\n")


def plan_cell(
    system: str,
    task: str,
    data: str | os.PathLike | None = None,
    fold: int = 0,
    seed: int = 0,
    protocol: str = "kfold",
    folds: int | None = None,
    validation: float | int | None = None,
    overrides: Mapping[str, Any] | None = None,
    runs: str | os.PathLike | None = None,
    bundle: str | os.PathLike | None = None,
) -> PlannedCell:
    """Merges the configurations of a cell and names its directory. Writes nothing.

    The hash is over what training and evaluation do (:mod:`~dam_study.experiments.cell_hash`), over the fold file and
    over the names of the cases. Arguments as in
    :func:`~dam_study.commands.single_cell.experiment`.

    Raises:
        ValueError: for an unknown system, task, protocol, entry or fold; if the dataset lacks an organ of the task; if
            the fold file does not fit the data.
        FileNotFoundError: without the dataset.
    """
    configs = bundle_folder(bundle) / "configs"
    chain = [
        configs / "tasks" / f"{_known('task', task, configs / 'tasks')}.json",
        configs / "experiments" / f"{_known('system', system, configs / 'experiments')}.json",
    ]
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    train = [configs / "train.json", *chain]
    evaluate = [configs / "train.json", configs / "evaluate.json", *chain]
    entries = _merged(train)
    given = dict(overrides or {})
    if entries["epochs"] == 0:
        given.pop("epochs", None)  # a grid asks the same of all systems
    for name in given:
        if (name.rpartition("#")[0] or name) not in entries:  # an argument that a component leaves at its default
            raise ValueError(f"overrides name {name!r}, which is no entry of {configs / 'train.json'} or its overlays")
    if places := [name for name in given if name.split("#")[0] in (*PLACES, "folds", "seed")]:
        raise ValueError(f"overrides cannot set {', '.join(places)}: the command's own options do")

    where = str(entries.get_parsed_content("dataset_dir") if data is None else Path(data).absolute())
    patients = patients_of(decathlon_split(where, "all"))
    cases = [*patients]
    _check_organs(where, task, entries["label_names"])
    count = {"kfold": entries["folds"]["folds"], "two-fold": 2, "leave-one-out": len({*patients.values()})}[protocol]
    split = {
        "fold": fold,
        "folds": count if folds is None else folds,
        "validation": entries["folds"]["validation"] if validation is None else validation,
        "seed": entries["folds"]["seed"],
    }
    root = (configs.parent / "output" / "runs" if runs is None else Path(runs)).absolute()
    folds_file = root / task / "folds-{folds}-{validation}-{seed}.json".format(**split)
    if folds_file.is_file():
        decathlon_split(where, "test", fold, folds_file=folds_file)  # does it fit, and is there such a fold
        stored = json.loads(folds_file.read_text(encoding="utf-8"))
    else:
        decathlon_split(where, "test", **split)
        stored = {name: split[name] for name in ("seed", "folds", "validation")}
        stored |= {
            "cases": sorted(cases),
            "splits": make_folds(cases, stored["folds"], stored["validation"], stored["seed"], patients),
        }

    changes = {**given, "folds": split, "seed": seed}
    training, evaluation = (_merged(files, changes) for files in (train, evaluate))
    runs_done, parts = zip(*map(hash_run, (training, evaluation)), strict=True)
    content = [runs_done, hash_sources(set.union(*parts)), stored, cases]
    name = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    folder = root / task / system / f"fold{fold}-seed{seed}-{name}"
    models = folder / "models"
    setup = {
        **changes,
        "folds_file": str(folds_file),
        "dataset_dir": where,
        "model_dir": str(folder),
        "ckpt_dir": str(models),
        "weights": str(models / "model.pt"),
        "confidence_weights": str(models / "model_confidence.pt"),
    }
    settings = {
        "system": system,
        "data": task,
        "protocol": protocol,
        "fold": fold,
        "seed": seed,
        "hash": name,
        "entries": _plain(training[""]),
    }
    own = Path(__file__).parent
    return PlannedCell(
        folder, [*train, own / "record_train.json"], [*evaluate, own / "record_evaluate.json"], setup, settings, stored
    )


def _known(what: str, name: str, folder: Path) -> str:
    names = sorted(file.stem for file in folder.glob("*.json"))
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(names)}, got {name!r}: each is a file of {folder}")
    return name


def _merged(files: list[Path], changes: Mapping[str, Any] | None = None) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    parser.update(copy.deepcopy({"bundle_root": str(files[0].parents[1]), **(changes or {})}))
    return parser


def _plain(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Without places and comments, which change no result."""
    left_out = (*PLACES, "bundle_root", "difficulty_frames")
    return {
        name: _uncommented(value)
        for name, value in entries.items()
        if name not in left_out and not name.startswith("_")  # comments, and MONAI's _meta_
    }


def _uncommented(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _uncommented(item) for key, item in value.items() if key != "_desc_"}
    return [_uncommented(item) for item in value] if isinstance(value, list) else value


def _check_organs(data: str, task: str, label_names: Mapping[str, str]) -> None:
    """Each class of the task must have its name in dataset.json, or a part of it: "anterior" is there for "anterior
    hippocampus"."""
    file = Path(data) / "dataset.json"
    labels = json.loads(file.read_text(encoding="utf-8")).get("labels", {})
    for index, organ in label_names.items():
        here = str(labels.get(index, ""))
        if not here or not (here.lower() in organ.lower() or organ.lower() in here.lower()):
            raise ValueError(
                f"{file} does not have the {organ} of task {task}: its label {index} is {here or 'not there'}; "
                "name another --task or --data"
            )
