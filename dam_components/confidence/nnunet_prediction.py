"""nnU-Net's own predictor, run for its probabilities."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dam_components.data.probability_cases import nnunet_folder
from dam_components.errors import first_line

__all__ = ["predict_with_nnunet"]


def predict_with_nnunet(
    results: str | os.PathLike,
    images: Mapping[str, Any],
    output: Path,
    folds: Sequence[int] | None = None,
    checkpoint: str = "checkpoint_final.pth",
) -> Path:
    """Runs ``nnUNetPredictor`` of nnunetv2 over images and leaves ``CASE.npz`` in the folder.

    Several folds are averaged, as nnU-Net does it.

    nnU-Net reads its checkpoints with pickle: use results of people that you trust.

    Args:
        results: nnU-Net's results folder, with ``fold_0`` and so on.
        images: file, or files of the channels, by case.
        output: where the probabilities go; made if missing.
        folds: which networks are averaged; ``None``: all that are there.
        checkpoint: the file of a fold.

    Raises:
        ImportError: nnunetv2 is not installed, or does not start.
        FileNotFoundError: a fold has no checkpoint.
    """
    root = nnunet_folder(results)
    chosen = [path for path in sorted(root.glob("fold_*")) if (path / checkpoint).is_file()]
    if folds is not None:
        chosen = [root / f"fold_{fold}" for fold in folds]
    missing = [str(path / checkpoint) for path in chosen if not (path / checkpoint).is_file()]
    if missing or not chosen:
        raise FileNotFoundError(f"there is no {(missing or [str(root / 'fold_0' / checkpoint)])[0]}: train that fold")
    # nnU-Net asks for these folders when it is imported; prediction uses none of them
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(name, str(root))
    try:
        importlib.import_module("dam_components.torchvision_operators")
        module = importlib.import_module("nnunetv2.inference.predict_from_raw_data")
    except Exception as error:  # a PyTorch of another release than torchvision's raises RuntimeError
        reason = first_line(error)
        raise ImportError(f"nnU-Net does not start ({reason}): pip install 'dam-components[nnunet]'") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    predictor = module.nnUNetPredictor(
        perform_everything_on_device=device.type == "cuda", device=device, allow_tqdm=False
    )
    names: list[Any] = [path.name.removeprefix("fold_") for path in chosen]
    predictor.initialize_from_trained_model_folder(
        str(root), tuple(name if name == "all" else int(name) for name in names), checkpoint
    )
    output.mkdir(parents=True, exist_ok=True)
    files = [paths if isinstance(paths, list) else [paths] for paths in images.values()]
    predictor.predict_from_files_sequential(
        [[str(file) for file in channels] for channels in files],
        [str(output / name) for name in images],
        save_probabilities=True,
    )
    return output
