"""Few labels: the overlay trains, and its baseline takes as many steps and reads no unlabelled image."""

import pytest
import torch
from monai.bundle import ConfigParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dam_components.data import decathlon_split, write_folds
from dam_components.engines import SemiSupervisedConfidenceTrainer


def test_overlay_and_its_baseline(patients, tiny, run_here, tmp_path):
    options = {
        **tiny,
        "dataset_dir": str(patients),
        "labelled": 1,
        "batch_size": 1,
        "iterations_per_epoch": 2,
        "epochs": 1,
        "val_interval": 9,  # FinalSaver then writes the networks
        "semi_start": 0,
        "warmup_epochs": 0,
    }
    trainers, weights, curves = {}, {}, {}
    for lambda_semi in (0.0, 1.0):
        folder = tmp_path / str(lambda_semi)
        folders = {"ckpt_dir": str(folder), "output_dir": str(folder)}
        files = "train.json", "tasks/pelvic.json", "semi_supervised.json"
        workflow = run_here(*files, **options, **folders, lambda_semi=lambda_semi)
        parser = workflow.parser
        labelled, unlabelled = (parser.get_parsed_content(f"{name}#dataset#data") for name in ("train", "unlabelled"))
        assert (len(labelled), len(unlabelled)) == (1, 2)
        assert not {case["case"] for case in labelled} & {case["case"] for case in unlabelled}
        trainers[lambda_semi] = parser.get_parsed_content("train#trainer")
        weights[lambda_semi] = torch.load(folder / "model.pt", weights_only=True)
        curves[lambda_semi] = set(EventAccumulator(str(folder)).Reload().Tags()["scalars"])
    assert all({"loss", "semi_loss", "trusted"} <= names for names in curves.values()), curves
    assert {type(trainer) for trainer in trainers.values()} == {SemiSupervisedConfidenceTrainer}
    assert [trainer.state.iteration for trainer in trainers.values()] == [2, 2]
    assert [int(trainer.teacher.n_averaged) for trainer in trainers.values()] == [0, 3]  # one copy, two averages
    assert [float(trainer.state.output[0]["semi_loss"]) > 0 for trainer in trainers.values()] == [False, True]
    assert any(not torch.equal(weights[0.0][name], value) for name, value in weights[1.0].items())


@pytest.mark.parametrize("fold", [0, 1])
def test_labelled_and_unlabelled_cases_are_of_the_same_folds_file(patients, configs, tmp_path, fold):
    """Or else cases that the file keeps for the test would be learned from without their labels."""
    file = tmp_path / "folds.json"
    write_folds(file, [f"pelvic_{i:03d}" for i in range(5)], folds=5, validation=1, seed=7)
    parser = ConfigParser()
    parser.read_config([str(configs / name) for name in ("train.json", "semi_supervised.json")])
    parser.update({"dataset_dir": str(patients), "folds_file": str(file), "folds#fold": fold, "labelled": 1})
    seen = [parser.get_parsed_content(f"{part}#dataset#data") for part in ("train", "unlabelled")]
    train = decathlon_split(patients, "train", fold=fold, folds_file=file)
    assert sorted(case["case"] for part in seen for case in part) == [case["case"] for case in train]
