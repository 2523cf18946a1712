"""nnU-Net's predictor, each fold by itself and their mean, with the processor time of each."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from nnunetv2.inference.export_prediction import export_prediction_from_logits
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor


def predict_folds(results: str, images: str, output: str, folds: tuple[int, ...] = (0, 1, 2)) -> None:
    """Writes ``fold_0/CASE.npz`` and so on, ``mean/CASE.npz`` and ``seconds.json`` into the output folder.

    The mean is nnU-Net's own: of the folds' logits, before the softmax.

    Args:
        results: the folder with ``fold_0``.
        images: their folder, ``CASE_0000.nii.gz``.
        output: where to.
        folds: which.
    """
    torch.set_num_threads(1)
    target, files = Path(output), sorted(Path(images).glob("*_0000.nii.gz"))
    seconds: dict[str, float] = {}
    logits: dict[str, Any] = {}
    for fold in folds:
        predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(results, (fold,))
        preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
        plans, manager, dataset = predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json
        (target / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
        started = time.process_time()
        for file in files:
            name = file.name.removesuffix("_0000.nii.gz")
            data, _, properties = preprocessor.run_case([str(file)], None, plans, manager, dataset)
            found = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu().float()
            logits[name] = logits.get(name, 0) + found / len(folds)
            place = str(target / f"fold_{fold}" / name)
            export_prediction_from_logits(found, properties, manager, plans, dataset, place, True)
            if fold == folds[-1]:
                (target / "mean").mkdir(exist_ok=True)
                place = str(target / "mean" / name)
                export_prediction_from_logits(logits[name], properties, manager, plans, dataset, place, True)
        seconds[f"fold_{fold}"] = (time.process_time() - started) / len(files)
    (target / "seconds.json").write_text(json.dumps(seconds, indent=1), encoding="utf-8")
    print(seconds)


if __name__ == "__main__":
    import fire

    fire.Fire(predict_folds)
