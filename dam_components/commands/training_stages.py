"""The stages of ``dam train``: what each runs, what it leaves, and how much work it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from dam_components.atomic_files import write_whole
from dam_components.commands.bundle_jobs import bundle_words
from dam_components.data import HARD_KINDS, decathlon_split
from dam_components.data.dataset_split import fold_count, patients_of
from dam_components.handlers import newest_checkpoint
from dam_components.planning.config_text import config_text

__all__ = ["Amount", "Stage", "TrainingJob", "list_test_images", "stages_of"]

PARTS = 3


@dataclass(frozen=True)
class Stage:
    """One command.

    Attributes:
        name: short, for ``--stage`` and the Snakemake workflow.
        title: what it does.
        words: of the command, after the interpreter.
        makes: files that are there when it is done.
        run_dir: folder of its checkpoints; ``None``: it begins at the beginning.
        epochs: of its training; 0: no training, or their number is not known before.
        work: about how long it takes, in training steps of S.
        optional: its failure does not end the training.
        before: what this process does first; without words, all that there is to do.
    """

    name: str
    title: str
    words: tuple[str, ...]
    makes: tuple[Path, ...]
    run_dir: Path | None = None
    epochs: int = 0
    work: float = 1.0
    optional: bool = False
    before: Callable[[], None] | None = None

    def command(self) -> list[str]:
        """The command line; where an earlier run has left whole epochs, it goes on after them."""
        resume = []
        if self.run_dir is not None:
            with suppress(FileNotFoundError):
                newest_checkpoint(self.run_dir)
                resume = ["--resume", "True"]
        return [sys.executable, *self.words, *resume]


@dataclass(frozen=True)
class TrainingJob:
    """What one call of ``dam train`` is to do.

    Attributes:
        model: the folder that it leaves.
        source: the bundle that it trains with.
        overlays: configurations on top of ``train.json``.
        fold: which fold's cases are kept for the test.
        epochs: of every training; ``None``: the plan's.
        seed: of every training.
        overrides: other entries of the configuration.
    """

    model: Path
    source: Path
    overlays: tuple[Path, ...] = ()
    fold: int | None = None
    epochs: int | None = None
    seed: int = 0
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Everything that is of use while it trains."""
        return self.model / "training"

    def entries(self) -> dict[str, Any]:
        """Entries of the configuration that every training from the source gets."""
        fold = {} if self.fold is None else {"folds#fold": self.fold}
        return {**self.overrides, **fold, **self.all_stages()}

    def all_stages(self) -> dict[str, Any]:
        """Entries that every training gets, from the model's folder too, which has the others in its files."""
        epochs = {} if self.epochs is None else {"epochs": self.epochs}
        return {"model_dir": self.model, "seed": self.seed, **epochs}


def stages_of(job: TrainingJob) -> list[Stage]:
    """The stages after the plan, in an order in which each finds what it needs."""
    amount = Amount(job)
    return [*_training_stages(job, amount), *_closing_stages(job, amount)]


def _training_stages(job: TrainingJob, amount: Amount) -> Iterator[Stage]:
    train, models = [job.source / "configs" / "train.json", *job.overlays], job.model / "models"
    folder = job.work / "S"
    yield Stage(
        "S",
        "S and a first D, together",
        bundle_words(train, {**job.entries(), "output_dir": folder}),
        (models / "model.pt", job.model / "configs" / "inference.json", job.model / "docs" / "training.json"),
        folder / "run",
        amount.epochs,
        amount.joint,
    )
    parts = [job.work / "parts" / f"part{part}" for part in range(amount.parts)]
    if len(parts) < 2:  # D has learned beside S, on the same case
        return
    fewer = {"parts": len(parts)} if len(parts) < PARTS else {}
    for part, folder in enumerate(parts):
        entries = {
            "leave_out": part,
            "output_dir": folder.parent,
            "network_dir": folder,
            "seed": job.seed + part + 1,
            **fewer,
        }
        yield Stage(
            f"part{part}",
            f"S without part {part} of the training cases, to show D what S does on cases that it did not learn from",
            bundle_words([*train, job.source / "configs" / "crossfit_part.json"], {**job.entries(), **entries}),
            (folder / "model.pt",),
            folder / "run",
            amount.part_epochs,
            amount.part,
        )
    own = job.model / "configs"
    weights = [str(folder / "model.pt") for folder in parts]
    yield Stage(
        "D",
        "D, on what the parts' S do",
        bundle_words(
            [own / "train.json", own / "train_confidence.json", own / "crossfit_confidence.json"],
            {**job.all_stages(), "output_dir": job.work / "D", "part_weights": weights, **fewer},
        ),
        (models / "model_confidence.pt",),
        job.work / "D" / "confidence" / "run",
        amount.confidence_epochs,
        amount.confidence,
    )


def _closing_stages(job: TrainingJob, amount: Amount) -> Iterator[Stage]:
    own, tested = job.model / "configs", job.work / "test_cases"
    if amount.validation:
        yield Stage(
            "calibration",
            "what predicted Dice is worth, on the validation cases",
            ("-m", "dam_components", "calibrate", "--bundle", str(job.model), "--seed", str(job.seed)),
            (job.model / "models" / "calibration.json",),
            work=5 * (1 + len(HARD_KINDS)) * amount.validation,
            optional=True,
        )
    if not amount.test:
        return
    yield Stage(
        "evaluation",
        "Dice and distances on the test cases",
        bundle_words([own / "train.json", own / "evaluate.json"], {"output_dir": job.work / "evaluation"}),
        (job.work / "evaluation" / "metrics.csv",),
        work=5 * amount.test,
    )
    yield Stage(
        "test_cases",
        "segmentation, confidence map and report of each test case",
        bundle_words([own / "inference.json"], {"dataset_dir": job.work / "test_images", "output_dir": tested}),
        (tested / "summary.csv",),
        work=5 * amount.test,
        optional=True,
    )


class Amount:
    """How many steps each training takes, of the configuration's own numbers. They make shares, not promises."""

    def __init__(self, job: TrainingJob) -> None:
        parser = ConfigParser()
        parser.read_config([str(file) for file in (job.source / "configs" / "train.json", *job.overlays)])
        parser.update({"bundle_root": str(job.source), **job.entries()})
        split = {"folds_file": parser.get_parsed_content("folds_file"), **parser.get_parsed_content("folds")}
        data = parser.get_parsed_content("dataset_dir")
        sections = {name: decathlon_split(data, name, **split) for name in ("train", "validation", "test")}
        self.folds = fold_count(data, **split)
        count, self.validation, self.test = (len(section) for section in sections.values())
        self.parts = min(PARTS, len({*patients_of(sections["train"]).values()}))
        batch = parser.get_parsed_content("batch_size")
        length, part_length = max(1, count // batch), max(1, count * (PARTS - 1) // PARTS // batch)
        self.epochs = int(parser.get_parsed_content("epochs"))
        self.part_epochs = job.epochs or max(30, round(1450 / part_length))
        self.confidence_epochs = job.epochs or max(12, round(876 / length))
        self.joint = 1.1 * self.epochs * length + 5 * self.validation * self.epochs / parser["val_interval"]
        self.part = 1.0 * self.part_epochs * part_length
        self.confidence = 0.5 * self.confidence_epochs * length
        self.test_cases = [{key: case[key] for key in ("image", "case")} for case in sections["test"]]
        self.cases = decathlon_split(data, "all")


def list_test_images(job: TrainingJob) -> None:
    """Writes the list of the test images that the stage ``test_cases`` reads."""
    cases = Amount(job).test_cases
    content: dict[str, Any] = {"name": "test cases", "numTest": len(cases), "test": cases}
    write_whole(job.work / "test_images" / "dataset.json", config_text(json.loads(json.dumps(content))))
