"""One training of a simulated active learning: S and D on a few cases, judged, and looking at the others."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import CacheDataset
from monai.transforms import Compose
from monai.utils import set_determinism

from dam_components.atomic_files import whole_file
from dam_components.confidence.case_evidence import gather_case, image_spacing
from dam_components.confidence.doubt_scores import Segmentation, Segmenter, make_scores
from dam_components.confidence.trained_bundle import load_models, read_bundle
from dam_components.precision import choose_amp
from dam_components.transforms import case_quality

__all__ = ["BundleLearner"]

FRESH = {"network": "$@network_def.to(@device)", "confidence_network": "$@confidence_network_def.to(@device)"}
WARM = {
    "network": "$networks.load_weights(@network_def, @weights).to(@device)",
    "confidence_network": "$networks.load_weights(@confidence_network_def, @confidence_weights).to(@device)",
}
HANDLERS = [
    {"_target_": "dam_components.handlers.SeedEpochs", "seed": "@seed"},
    {"_target_": "LrScheduleHandler", "lr_scheduler": "@lr_scheduler", "print_lr": False},
    {"_target_": "LrScheduleHandler", "lr_scheduler": "@confidence_lr_scheduler", "print_lr": False},
]
DOUBTS = {"confidence": "D", "softmax": "softmax"}  # of the strategies
# entries that change no number here
IDLE = {"bundle_root", "dataset_dir", "ckpt_dir", "output_dir", "weights", "confidence_weights", "seed"} | {
    "imports",
    "initialize",
    "run",
    "run_state",
    "val_interval",
    "num_workers",
}


class BundleLearner:
    """Trains as the bundle's ``train.json`` says, for a fixed number of iterations and without validation.

    Cases are loaded and preprocessed once. Dice is that of S's output on S's grid: nothing is inverted.

    Args:
        bundle: the bundle's folder.
        overlays: configuration files on top.
        entries: of the configuration, by name.
        epochs: of every training; the learning rate falls over them, whatever the number of cases.
        epoch_length: iterations of an epoch.
        warm_start: go on from the weights of the round before; each round's are then kept beside its JSON file.

    Attributes:
        train_cases: names of the fold's training cases.
        test_cases: names of its test cases.
        class_names: without the background.
        facts: data, folds and training in words.
        device: where all of it runs.

    Raises:
        ValueError: a number is below 1, an entry unknown, or a case does not fit the configuration.
        FileNotFoundError: without the bundle or the data.
    """

    def __init__(
        self,
        bundle: str | os.PathLike,
        overlays: Sequence[str] = (),
        entries: Mapping[str, Any] | None = None,
        epochs: int = 25,
        epoch_length: int = 10,
        warm_start: bool = False,
    ) -> None:
        for name, value in (("epochs", epochs), ("epoch_length", epoch_length)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number, at least 1, got {value!r}")
        self.epochs, self.epoch_length, self.warm_start = epochs, epoch_length, warm_start
        own = {**FRESH, "train#handlers": HANDLERS, **(entries or {}), "epochs": epochs, "section": "test"}
        # read once: somebody may edit the files while a long simulation runs
        self._config: dict[str, Any] = copy.deepcopy(read_bundle(bundle, overlays, **own).get())  # type: ignore[arg-type]
        parser = self.parser()
        names = parser.get_parsed_content("label_names")
        self.class_names = [names[index] for index in sorted(names, key=int)]
        self.device = torch.device(parser.get_parsed_content("device"))
        train, test = (parser.get_parsed_content(f"{part}#dataset#data") for part in ("train", "validate"))
        self.train_cases, self.test_cases = ([str(item["case"]) for item in part] for part in (train, test))
        folds, batch, amp = (parser.get_parsed_content(name) for name in ("folds", "batch_size", "amp"))
        self.facts = {
            "data": f"{Path(str(parser.get_parsed_content('dataset_dir'))).name}, {len(train)} training cases of which "
            f"some are labelled, {len(test)} test cases",
            "folds": ", ".join(f"{key} {value}" for key, value in folds.items()),
            "training": f"{epochs} epochs of {epoch_length} iterations of {batch} cases, "
            + ("from the weights of the round before" if warm_start else "from scratch")
            + f", amp {choose_amp(amp, self.device)}, no validation",
        }
        self._items: dict[str, Any] = {str(item["case"]): item for item in [*train, *test]}
        self._loaded = False

    @property
    def configuration(self) -> dict[str, Any]:
        """Those entries that a number here can depend on."""
        used = {name: value for name, value in self._config.items() if name not in IDLE and not name.startswith("_")}
        return used | {"validate": {name: used["validate"][name] for name in ("preprocessing", "inferer")}}

    def parser(self, **more: Any) -> ConfigParser:
        """The configuration of a training without validation, files or progress bar."""
        parser = ConfigParser(copy.deepcopy(self._config))
        parser.update(more)
        return parser

    def __call__(
        self,
        labelled: Sequence[str],
        unlabelled: Sequence[str],
        scores: Sequence[str],
        seed: int,
        start_from: Path | None,
        save_to: Path,
    ) -> tuple[dict[str, list[float]], dict[str, dict[str, float]], float]:
        """Dice of each test case, ``case_confidence`` of each unlabelled one by score, and the seconds they took."""
        self._load()
        started = time.perf_counter()
        parser = self.train(labelled, seed, start_from)
        if self.warm_start:
            for network, file in zip(("network", "confidence_network"), _weight_files(save_to), strict=True):
                with whole_file(file) as temporary:
                    torch.save(parser.get_parsed_content(network).state_dict(), temporary)
        segmenter, confidence, device = load_models(parser)
        dice = {
            case: gather_case(self._items[case], segmenter, {}, "clean", device=device, regions=()).true_dice.tolist()
            for case in self.test_cases
        }
        doubts = make_scores([DOUBTS[name] for name in scores], confidence)
        names = dict(enumerate(self.class_names, start=1))
        predicted: dict[str, dict[str, float]] = {name: {} for name in scores}
        for case in unlabelled if scores else ():
            segmentation = self.segment(case, segmenter)
            probabilities = segmentation.probabilities[0].cpu()
            spacing_mm = image_spacing(self._items[case]["image"], probabilities.ndim - 1)
            for name in scores:
                m = torch.as_tensor(1 - doubts[DOUBTS[name]](segmentation).clamp(0, 1))[0].cpu()
                predicted[name][case] = case_quality(probabilities, m, spacing_mm, names)["case_confidence"]
        return dice, predicted, time.perf_counter() - started

    def train(self, labelled: Sequence[str], seed: int, start_from: Path | None = None) -> ConfigParser:
        """The configuration after its trainer ran; its networks are the trained ones."""
        more: dict[str, Any] = {"seed": seed}
        if self.warm_start and start_from is not None:
            files = map(str, _weight_files(start_from))
            more |= WARM | dict(zip(("weights", "confidence_weights"), files, strict=True))
        parser = self.parser(**more)
        parser["train#trainer#epoch_length"] = self.epoch_length
        set_determinism(seed=seed)
        cases = [copy.deepcopy(self._items[case]) for case in labelled]
        steps = Compose(parser.get_parsed_content("train#random_transforms"))
        parser["train#dataset"] = CacheDataset(cases, steps, progress=False)
        parser.parse(True)
        parser.get_parsed_content("train#trainer").run()
        return parser

    def segment(self, case: str, segmenter: Segmenter) -> Segmentation:
        """What S says of a case."""
        return Segmentation.of(torch.as_tensor(self._items[case]["image"])[None].float().to(self.device), segmenter)

    def _load(self) -> None:
        """Preprocesses all cases, at the first training."""
        if not self._loaded:
            steps = self.parser().get_parsed_content("validate#preprocessing")
            prepared = CacheDataset([*self._items.values()], steps, num_workers=2)
            self._items = {case: prepared[i] for i, case in enumerate(self._items)}
            self._loaded = True


def _weight_files(stem: Path) -> tuple[Path, Path]:
    """Of S and of D."""
    return stem.with_name(f"{stem.name}.pt"), stem.with_name(f"{stem.name}_confidence.pt")
