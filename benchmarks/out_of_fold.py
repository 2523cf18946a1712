"""Out-of-fold probabilities of any network of MONAI's, as a results folder that ``dam confidence fit`` takes.

``python -m benchmarks.out_of_fold --output OUT --overlay bundle/configs/experiments/unet.json --epochs 6``
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Invertd
from tqdm import tqdm

from dam_components.commands.bundle_jobs import bundle_folder, run_bundle
from dam_components.confidence.trained_bundle import comma_words
from dam_components.data import decathlon_split
from dam_components.networks import load_weights


def read_configs(files: list[Path], entries: dict[str, Any]) -> ConfigParser:
    """The configurations with some entries replaced."""
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    parser.update({"bundle_root": str(bundle_folder()), **entries})
    return parser


def predict(parser: ConfigParser, weights: Path, cases: list[dict[str, Any]], folder: Path) -> list[float]:
    """Writes ``CASE.npz`` of each case on its own grid; gives the Dice of its foreground."""
    network = load_weights(parser.get_parsed_content("network_def"), weights).eval()
    prepare, inferer = (parser.get_parsed_content(f"validate#{name}") for name in ("preprocessing", "inferer"))
    back = Invertd(("pred", "label"), transform=prepare, orig_keys=("image", "label"), nearest_interp=(False, True))
    folder.mkdir(parents=True, exist_ok=True)
    dice = []
    for case in tqdm(cases, desc=folder.name, unit="case"):
        item = prepare({"image": case["image"], "label": case["label"]})
        with torch.no_grad():
            logits = inferer(item["image"][None].as_tensor(), network)[0]
        item["pred"] = MetaTensor(logits.softmax(0), meta=item["image"].meta)  # Invertd passes plain tensors on
        item = back(item)
        p = np.asarray(item["pred"], np.float32).clip(1e-7, 1)
        p /= p.sum(0)
        found, true = p.argmax(0) > 0, np.asarray(item["label"][0]) > 0
        dice.append(float(2 * (found & true).sum() / max(found.sum() + true.sum(), 1)))
        np.savez_compressed(folder / f"{case['case']}.npz", probabilities=p.transpose(0, 3, 2, 1))
    return dice


def out_of_fold(
    output: str,
    data: str,
    overlay: str = "",
    epochs: int = 6,
    parts: int = 3,
    section: str = "train",
    held_out: str = "",
    seed: int = 0,
) -> None:
    """Trains the network without each part of the cases, and predicts that part.

    Args:
        output: ``fold_0/CASE.npz`` and so on go here, ``dice.json``, and the networks.
        data: the dataset, Decathlon layout.
        overlay: configurations on top of train.json, separated by commas.
        epochs: of each training.
        parts: how many.
        section: of fold 0 of the bundle's folds: train, or all.
        held_out: a section that every network predicts too, into ``held_out/fold_0`` and so on.
        seed: of part 0; part 1 has the next, and so on.
    """
    torch.set_num_threads(1)
    root, target, configs = bundle_folder(), Path(output).absolute(), bundle_folder() / "configs"
    files = [configs / "train.json", *map(Path, comma_words(overlay)), configs / "crossfit_part.json"]
    places = {"dataset_dir": Path(data).absolute(), "ckpt_dir": target / "models", "output_dir": target / "runs"}
    whole = {"train#dataset#data": f"$data.decathlon_split(@dataset_dir, 'all', parts={parts}, leave_out=@leave_out)"}
    entries = {"parts": parts, **places, **(whole if section == "all" else {})}
    parser = read_configs(files, {name: str(value) for name, value in places.items()})
    folds = parser.get_parsed_content("folds") if section != "all" else {}
    dice: dict[str, list[float]] = {}
    for part in range(parts):
        weights = target / "models" / f"part{part}" / "model.pt"
        if not weights.is_file():
            run_bundle(files, bundle_root=root, leave_out=part, epochs=epochs, seed=seed + part, **entries)
        cases = [case for case in decathlon_split(data, section, parts=parts, **folds) if case["part"] == part]
        dice[f"fold_{part}"] = predict(parser, weights, cases, target / f"fold_{part}")
        if held_out:
            other = decathlon_split(data, held_out, **folds)
            dice[f"held_out_{part}"] = predict(parser, weights, other, target / "held_out" / f"fold_{part}")
    (target / "dice.json").write_text(json.dumps({name: float(np.mean(values)) for name, values in dice.items()}))
    print({name: round(float(np.mean(values)), 4) for name, values in dice.items()})


if __name__ == "__main__":
    import fire

    fire.Fire(out_of_fold)
