"""A model's folder: a complete bundle, written before a training from a plan, and after one from what was trained."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from dam_components.atomic_files import copy_whole, write_whole
from dam_components.bundle_command import command_files, command_overrides
from dam_components.data import decathlon_split, make_folds, read_folds
from dam_components.data.dataset_layouts import SourceDataset, read_dataset
from dam_components.data.dataset_split import patients_of
from dam_components.planning.case_survey import survey_case
from dam_components.planning.config_text import config_text
from dam_components.planning.fingerprint import make_fingerprint
from dam_components.planning.model_configs import model_configs, training_entries
from dam_components.planning.model_metadata import made_by, model_metadata
from dam_components.planning.model_readme import model_readme

__all__ = ["TrainedModel", "add_results", "write_model_folder"]

WEIGHTS = ("model.pt", "model_confidence.pt")
COPIED = ("configs/logging.conf", "LICENSE")


def write_model_folder(
    folder: Path,
    source: Path,
    entries: Mapping[str, Any],
    changes: Mapping[str, Any],
    metadata: Mapping[str, Any],
    docs: Mapping[str, Any],
) -> None:
    """Writes or replaces all of a model's folder but its weights, file by file; each file is whole at any moment.

    Args:
        folder: of the model.
        source: the bundle whose configurations are the pattern; may be the same folder.
        entries: the training's configuration, of :func:`~dam_components.planning.model_configs.training_entries`.
        changes: entries that name places: ``dataset_dir``, ``folds_file``.
        metadata: content of ``metadata.json``.
        docs: contents of files in ``docs`` by name: text, or what becomes JSON.
    """
    texts = {f"configs/{name}": config_text(config) for name, config in model_configs(source, entries, changes).items()}
    texts["configs/metadata.json"] = config_text(dict(metadata))
    texts |= {f"docs/{name}": item if isinstance(item, str) else config_text(item) for name, item in docs.items()}
    texts |= {name: (source / name).read_text(encoding="utf-8") for name in COPIED if (source / name).is_file()}
    texts |= {
        file.relative_to(source).as_posix(): file.read_text(encoding="utf-8")
        for file in source.glob("scripts/**/*.py")  # the code of a bundle that brings its own
    }
    for name, text in texts.items():
        write_whole(folder / name, text)
    (folder / "models").mkdir(parents=True, exist_ok=True)
    write_whole(folder / "docs" / "README.md", model_readme(folder))


def add_results(folder: Path, metrics: Path | None = None, picture: Path | None = None) -> None:
    """Adds results to a model's folder: the table of its test cases and a picture; the README then shows them.

    Args:
        folder: of the model.
        metrics: the CSV file of ``evaluate.json``.
        picture: a PNG file.
    """
    for file, name in ((metrics, "metrics.csv"), (picture, "picture.png")):
        if file is not None:
            copy_whole(file, folder / "docs" / name)
    write_whole(folder / "docs" / "README.md", model_readme(folder))


@dataclass
class TrainedModel:
    """What ``train.json`` calls when a training is over: the model's folder becomes a complete bundle.

    It reads the command line of ``python -m monai.bundle``. Under any other program (MONAI Label, a federated client)
    the folder is a bundle already and stays as it is.

    Args:
        folder: of the model.
        bundle_root: the bundle that was trained with.
        ckpt_dir: where the weights are; those elsewhere are copied into the folder.
        dataset_dir: the dataset.
        folds: arguments of :func:`~dam_components.data.decathlon_split`.
        folds_file: likewise.
        trainer: after its run.
        validator: likewise, or ``None``.
        pictures: folder with pictures of the validation; the newest is kept.
        fingerprint: whether to read all cases for the data's fingerprint, if the bundle has none.
        main_process: only this process writes.
    """

    folder: str
    bundle_root: str
    ckpt_dir: str
    dataset_dir: str
    folds: Mapping[str, Any]
    folds_file: str | None
    trainer: Engine
    validator: Engine | None
    pictures: str
    fingerprint: bool = True
    main_process: bool = True

    def write(self) -> None:
        """The folder after S and D were trained together, or S alone."""
        files = command_files()
        if not files or not self.main_process:
            return
        folder, source = Path(self.folder).absolute(), Path(self.bundle_root).absolute()
        entries = training_entries(files, command_overrides())
        for name in WEIGHTS:
            if (file := Path(self.ckpt_dir, name)).absolute() != folder / "models" / name and file.is_file():
                copy_whole(file, folder / "models" / name)
        dataset = read_dataset(self.dataset_dir)
        docs = {**self._cases(), **self._data(source, dataset, entries["label_names"])}
        docs["training.json"] = self._origin(files, entries)
        changes = {
            "dataset_dir": place_in(folder, Path(self.dataset_dir).absolute()),
            "folds_file": "$@bundle_root + '/docs/folds.json'",
        }
        pattern = json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8"))
        metadata = model_metadata(
            pattern,
            dataset.name,
            dataset.licence,
            channel_names(dataset, entries["image_channels"]),
            entries["label_names"],
            entries["patch_size"],
            ct=entries["intensity"]["_target_"] == "ScaleIntensityRanged",
            change="trained by dam-components; docs/training.json has the details",
        )
        write_model_folder(folder, source, entries, changes, metadata, docs)
        pictures = sorted(Path(self.pictures).glob("epoch_*.png"))
        add_results(folder, picture=pictures[-1] if pictures else None)
        print(f"the model and all that it needs: {folder}")

    def add_stage(self) -> None:
        """Notes in the folder how D was trained alone."""
        file = Path(self.folder, "docs", "training.json")
        files = command_files()
        if not files or not self.main_process or not file.is_file():
            return
        content = json.loads(file.read_text(encoding="utf-8"))
        stage: dict[str, Any] = {
            "configs": names_of(files),
            "options": self._options(),
            "epochs": self.trainer.state.epoch,
        }
        before = [other for other in content.get("stages", []) if other["configs"][-1] != stage["configs"][-1]]
        write_whole(file, config_text({**content, "stages": [*before, stage]}))
        add_results(Path(self.folder))

    def _cases(self) -> dict[str, Any]:
        """Folds and the names of this fold's cases by section: later data must be the same to be evaluated on."""
        cases = decathlon_split(self.dataset_dir, "all")
        names = [case["case"] for case in cases]
        given = {name: self.folds[name] for name in ("folds", "validation", "seed") if name in self.folds}
        if self.folds_file:
            content = json.loads(Path(self.folds_file).read_text(encoding="utf-8"))
            splits = read_folds(self.folds_file, names)
        else:
            splits = make_folds(names, **given, patients=patients_of(cases))
            content = {**given, "cases": sorted(names), "splits": splits}
        return {"folds.json": content, "cases.json": dict(splits[self.folds.get("fold", 0)])}

    def _data(self, source: Path, dataset: SourceDataset, label_names: Mapping[str, str]) -> dict[str, Any]:
        """The data's report of a planned bundle, or a fingerprint."""
        reports = [source / "docs" / name for name in ("data_report.json", "data_report.md")]
        if all(report.is_file() for report in reports):
            return {report.name: report.read_text(encoding="utf-8") for report in reports}
        if not self.fingerprint:
            return {}
        surveys = [survey for case in dataset.cases if (survey := survey_case(case)[0]) is not None]
        names = {int(index): name for index, name in label_names.items()}
        found = make_fingerprint(surveys, channel_names(dataset, surveys[0].channels), names)
        return {"data_report.json": {"data": str(dataset.folder), "fingerprint": found.as_json()}}

    def _origin(self, files: Sequence[Path], entries: Mapping[str, Any]) -> dict[str, Any]:
        state = getattr(self.validator, "state", None)
        best = getattr(state, "best_metric_epoch", -1)
        validated = {"metric": state.key_metric_name, "best": float(state.best_metric), "epoch": best} if state else {}
        return {
            "made_by": made_by(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "configs": names_of(files),
            "options": self._options(),
            "seed": entries["seed"],
            "epochs": self.trainer.state.epoch,
            "iterations": self.trainer.state.iteration,
            "validation": validated if best > 0 else None,
        }

    def _options(self) -> dict[str, Any]:
        return {name: value for name, value in command_overrides().items() if not name.endswith(("_dir", "_root"))}


def channel_names(dataset: SourceDataset, channels: int) -> list[str]:
    """Those of the dataset, or made-up ones."""
    named = dataset.channel_names or []
    return [*named] if len(named) == channels else [f"channel {number}" for number in range(channels)]


def names_of(files: Sequence[Path]) -> list[str]:
    """Of configurations, from their bundle's ``configs``: ``tasks/pelvic.json``."""
    return [
        file.relative_to(root).as_posix() if (root := configs_above(file)) is not None else file.name for file in files
    ]


def configs_above(file: Path) -> Path | None:
    """The folder ``configs`` that a file lies in, at any depth."""
    return next((folder for folder in file.parents if folder.name == "configs"), None)


def place_in(folder: Path, path: Path) -> str:
    """How a configuration in ``folder/configs`` names a path: from its own bundle where it lies within."""
    inside = Path(os.path.relpath(path, folder))
    return str(path) if inside.parts[0] == ".." else f"$@bundle_root + '/{inside.as_posix()}'"
