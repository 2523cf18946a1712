"""``confidence apply``: map, report, summary and review picture of new images, behind a model that one already has."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dam_components.commands.bundle_jobs import bundle_folder, run_bundle
from dam_components.confidence.bundle_prediction import predict_with_bundle
from dam_components.confidence.memory_need import check_memory
from dam_components.confidence.nnunet_prediction import predict_with_nnunet
from dam_components.confidence.trained_bundle import comma_numbers
from dam_components.data.probability_cases import images_by_case, list_stored_cases
from dam_components.data.stored_probabilities import check_order

__all__ = ["apply"]

STORED = "stored_inference.json"


def apply(
    images: str,
    model: str,
    output: str,
    probabilities: str | None = None,
    nnunet: str | None = None,
    bundle: str | None = None,
    folds: int | str | Sequence[int] | None = None,
    order: str | None = None,
    keep_probabilities: bool = False,
    review_below: float | None = None,
) -> None:
    """Writes the confidence map of new images, a report, a summary and a picture of each, behind your own model.

    The segmentation is your model's own. Its probabilities are either stored already, or made here by nnU-Net's
    predictor or by a MONAI bundle.

    Args:
        images: their folder; CASE.nii.gz, or CASE_0000.nii.gz as nnU-Net names them.
        model: what dam confidence fit has written, or another bundle of this project.
        output: where the results go, a folder a case.
        probabilities: a folder of CASE.npz, CASE.npy or 4D CASE.nii.gz.
        nnunet: nnU-Net's results folder (that with fold_0); needs nnunetv2.
        bundle: a MONAI bundle with network_def, preprocessing and inferer.
        folds: of nnU-Net, separated by commas; by default all, averaged.
        order: the axes of the files, for instance cxyz; by default as in the fit.
        keep_probabilities: keep what nnU-Net or the bundle has predicted, in the output's folder probabilities.
        review_below: predicted Dice below which a case is for review.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ImportError: nnunetv2 is not installed.
        ValueError: not one source of probabilities is named, an option is of another source, a fold is no number, or an
            image has no probabilities.
    """
    sources = {"probabilities": probabilities, "nnunet": nnunet, "bundle": bundle}
    named = [name for name, value in sources.items() if value is not None]
    if len(named) != 1:
        raise ValueError(f"name one source: --probabilities, --nnunet or --bundle; got {', '.join(named) or 'none'}")
    check_order(order)
    for option, value, source in (("folds", folds, "nnunet"), ("order", order, "probabilities")):
        if value is not None and source != named[0]:
            raise ValueError(f"--{option} goes with --{source}, and has no meaning with --{named[0]}: leave it out")
    if keep_probabilities and probabilities is not None:
        raise ValueError("--keep_probabilities has no meaning with --probabilities, which are stored: leave it out")
    numbers = None
    if folds is not None:
        numbers = comma_numbers(folds, "folds", "numbers of nnU-Net's folds", remedy="without it all are averaged")
    configs = model_configs(Path(str(model)).absolute())
    config = json.loads(configs[0].read_text(encoding="utf-8"))
    channels, spacing = int(config.get("image_channels", 1)), config.get("spacing", ())
    target = Path(str(output)).absolute()
    chosen: dict[str, Any] = {"dataset_dir": Path(str(images)).absolute(), "output_dir": target}
    if review_below is not None:
        chosen["review_below"] = float(review_below)
    if probabilities is not None:
        folder = Path(str(probabilities)).absolute()
        if order is not None:
            chosen["probability_order"] = order
        check_memory(list_stored_cases(images, folder, channels), spacing)
        run_bundle(configs, probabilities_dir=folder, **chosen)
        return
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".probabilities-") as temporary:
        folder = target / "probabilities" if keep_probabilities else Path(temporary)
        cases = images_by_case(images, channels)
        if nnunet is not None:
            predict_with_nnunet(str(nnunet), cases, folder, numbers)
        else:
            predict_with_bundle(str(bundle), cases, folder)
        check_memory(list_stored_cases(images, folder, channels), spacing)
        run_bundle(configs, probabilities_dir=folder, probability_order="czyx", **chosen)


def model_configs(model: Path) -> list[Path]:
    """The configurations of an inference from stored probabilities.

    Raises:
        FileNotFoundError: it is no bundle.
    """
    file = model / "configs" / "inference.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{model} is no model: it has no configs/inference.json; make one with dam confidence fit"
        )
    overlay = file.with_name(STORED)
    return [file, overlay if overlay.is_file() else bundle_folder() / "configs" / STORED]
