"""Any MONAI bundle, run for its probabilities: its own network, preprocessing and inferer."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from tqdm import tqdm

from dam_components.atomic_files import whole_file
from dam_components.networks import load_weights
from dam_components.probabilities import NO_OVERLAP, check_class_count

__all__ = ["predict_with_bundle"]

CONFIGS = ("inference.json", "inference.yaml")
NEEDED = ("network_def", "preprocessing", "inferer")


def predict_with_bundle(bundle: str | os.PathLike, images: Mapping[str, Any], output: Path) -> Path:
    """Runs a bundle's S over images and leaves ``CASE.npz`` in the folder, as nnU-Net writes it.

    The inverse of the bundle's preprocessing brings the probabilities back to each image's own grid. Voxels that the
    bundle did not look at become background. A bundle's configuration is code: use those of people that you trust.

    Args:
        bundle: its folder, with ``configs/inference.json`` (or ``.yaml``) and ``models/model.pt``.
        images: file, or files of the channels, by case.
        output: where the probabilities go; made if missing.

    Raises:
        FileNotFoundError: it is no bundle, or has no weights.
        ValueError: the configuration lacks a part, or S gives one channel or sigmoids.
    """
    root = Path(bundle).absolute()
    parser = _read(root)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = load_weights(parser.get_parsed_content("network_def"), root / "models" / "model.pt").to(device).eval()
    preprocessing, inferer = (parser.get_parsed_content(name) for name in ("preprocessing", "inferer"))
    back = Compose([Invertd("pred", transform=preprocessing, orig_keys="image", nearest_interp=False)])
    output.mkdir(parents=True, exist_ok=True)
    for name, files in tqdm(images.items(), desc=f"predict with {root.name}", unit="case"):
        item = preprocessing({"image": files})
        with torch.no_grad():
            found = inferer(item["image"][None].to(device), network)
        logits = found if isinstance(found, torch.Tensor) else found[0]
        check_class_count(logits.shape[1], f"what S of {root} gives")
        probabilities = torch.as_tensor(logits[0]).float().softmax(0).cpu()
        item["pred"] = MetaTensor(probabilities, meta=item["image"].meta)  # Invertd passes plain tensors on as they are
        with whole_file(output / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, probabilities=_whole(back(item)["pred"]).transpose(0, 3, 2, 1))
    return output


def _read(root: Path) -> ConfigParser:
    file = next((root / "configs" / name for name in CONFIGS if (root / "configs" / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{root} is no bundle: it has no configs/inference.json")
    parser = ConfigParser()
    parser.read_config(str(file))
    parser.update({"bundle_root": str(root)})
    if missing := [name for name in NEEDED if name not in parser]:
        raise ValueError(f"{file} has no {missing[0]}: D can stand behind a bundle that defines {', '.join(NEEDED)}")
    text = file.read_text(encoding="utf-8").lower()
    if '"sigmoid": true' in text or "sigmoid: true" in text:
        raise ValueError(f"{file} ends in sigmoids: {NO_OVERLAP}")
    if str(root) not in sys.path:  # a bundle's own scripts
        sys.path.insert(0, str(root))
    return parser


def _whole(probabilities: Any) -> np.ndarray:
    """Probabilities that sum to one again after interpolation, background where there are none."""
    values = np.asarray(probabilities, dtype=np.float32).clip(0, 1)
    total = values.sum(0)
    values[0] += total <= 0
    return values / np.where(total > 0, total, 1)
