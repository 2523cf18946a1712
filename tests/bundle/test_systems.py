"""Every system of bundle/configs/experiments trains an epoch and evaluates, and records what its cell must hold."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigParser

from dam_components.networks import ConfidenceNet, DSResUNet, PaddedNetwork
from dam_study.experiments.planned_cell import plan_cell

EXPERIMENTS = Path(__file__).parents[2] / "bundle" / "configs" / "experiments"
SYSTEMS = sorted(file.stem for file in EXPERIMENTS.glob("*.json"))
ASKED = {
    *("unet", "vnet", "dsresunet", "enunet_ce", "enunet_focal", "enunet_hybrid", "adversarial", "organ", "voxel"),
    *("proposed", "proposed_correctness", "full", "lean", "default", "paper", "malf", "ssae"),
    *("voxel_correctness", "voxel_correctness_flips", "all_terms"),
    *("no_residual", "no_dilation", "no_transformation", "no_channel_attention", "no_deep_supervision"),
}
TINY = {
    "channels": [4, 4, 4, 4],
    "spacing": [10.0, 10.0, 6.0],  # volumes of 16 x 16 x 16
    "patch_size": [16, 16, 16],
    "patches_per_case": 2,
    "epochs": 1,
    "val_interval": 1,
    "warmup_epochs": 0,
    "amp": False,
}
TRAINED = [name for name in SYSTEMS if name not in ("malf", "ssae")]  # those two: tests/baselines
S_ALONE = {
    *("unet", "vnet", "dsresunet", "enunet_ce", "enunet_focal", "enunet_hybrid", "lean"),
    *(name for name in SYSTEMS if name.startswith("no_")),
}


@pytest.fixture
def plan(patients, tmp_path):
    def make(system, **overrides):
        cell = plan_cell(
            system, "pelvic", patients, folds=5, validation=1, overrides={**TINY, **overrides}, runs=tmp_path / "runs"
        )
        cell.store_folds()
        return cell

    return make


def test_the_systems_of_the_paper_are_there():
    assert {*SYSTEMS} >= ASKED


@pytest.mark.parametrize("system", TRAINED)
def test_a_system_trains_and_evaluates(system, plan, run_here, tmp_path):
    # VNet halves every axis four times: of 16 voxels one would be left, whose batch norm is not defined
    cell = plan(system, **({"patch_size": [32, 32, 16]} if system == "vnet" else {}))
    # an absolute path is left as it is by config_files
    workflow = run_here(*cell.train, **cell.setup, output_dir=str(tmp_path))
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves["epoch"].tolist() == [1]
    assert np.isfinite(curves).all(axis=None)
    assert workflow.parser.get_parsed_content("train#trainer").state.iteration >= 1
    network = workflow.parser.get_parsed_content("network")
    # what was evaluated is what was trained
    evaluated = run_here(*cell.evaluate, **cell.setup, output_dir=str(tmp_path))
    judged = evaluated.parser.get_parsed_content("network")
    used = judged.network if system == "voxel_correctness_flips" else judged
    torch.testing.assert_close(used.state_dict(), network.state_dict())
    rows = pd.read_csv(tmp_path / "metrics.csv")
    assert len(rows) == 12
    assert rows["dice"].between(0, 1).all()
    with np.load(tmp_path / "slices.npz") as slices:
        places = {name.split("/", 1)[1] for name in slices.files}
        assert places == {
            f"{place}/{key}"
            for place in ("base", "middle", "apex")
            for key in ("image", "label", "prediction", "confidence")
        }
    # D's masks, where there is a D
    assert (tmp_path / "difficulty.npz").is_file() == (system not in S_ALONE)


def test_all_share_data_patches_schedule_and_trainer(plan):
    shared = ("train", "optimizer", "lr_scheduler", "folds", "seed", "spacing", "warmup_epochs", "clip_grad_norm")
    default = plan("default").settings["entries"]
    for system in {*TRAINED} - {"paper"}:
        entries = plan(system).settings["entries"]
        assert {name: entries[name] for name in shared} == {name: default[name] for name in shared}, system


def resolved(cell, *names):
    parser = ConfigParser()
    parser.read_config([str(file) for file in cell.train])
    parser.update(dict(cell.setup))
    return [parser.get_parsed_content(name) for name in names]


@pytest.mark.parametrize(
    ("system", "lambda_adv", "beta", "gamma", "target"),
    [
        ("adversarial", 0.005, 0.0, 0.0, "adversarial"),  # Eq. 3 and 6
        ("organ", 0.005, 0.0, 2.0, "adversarial"),  # Eq. 7
        ("voxel", 0.005, 2.0, 0.0, "adversarial"),  # Eq. 8
        ("proposed", 0.005, 2.0, 2.0, "adversarial"),  # Eq. 10
        ("proposed_correctness", 0.005, 2.0, 2.0, "correctness"),
    ],
)
def test_the_papers_parts_differ_in_what_they_switch_off(system, lambda_adv, beta, gamma, target, plan):
    names = ("train#trainer#lambda_adv", "loss", "confidence_loss", "confidence_network_def")
    adversarial, loss, confidence_loss, D = resolved(plan(system), *names)
    assert (adversarial, loss.beta, loss.gamma, confidence_loss.target) == (lambda_adv, beta, gamma, target)
    assert loss.attention_floor == 0
    assert not loss.normalize
    assert isinstance(D, ConfidenceNet)


@pytest.mark.parametrize(
    ("system", "lambda_adv", "gamma", "interval"),
    [
        ("default", 0.005, 0.0, 2),
        ("all_terms", 0.005, 1.0, 2),
        ("full", 0.005, 1.0, 1),
        ("voxel_correctness", 0.0, 0.0, 2),
    ],
)
def test_the_default_is_equation_11_without_organ_attention(system, lambda_adv, gamma, interval, plan):
    names = ("train#trainer#lambda_adv", "train#trainer#adversarial_interval", "loss", "confidence_loss")
    adversarial, every, loss, confidence_loss = resolved(plan(system), *names)
    assert (adversarial, every, loss.gamma, loss.beta) == (lambda_adv, interval, gamma, 1.0)
    assert confidence_loss.target == "correctness"


@pytest.mark.parametrize(
    ("system", "lambda_dice", "lambda_ce"), [("enunet_hybrid", 1.0, 1.0), ("enunet_ce", 0.0, 1.0), ("unet", 1.0, 1.0)]
)
def test_s_alone_learns_from_the_hybrid_loss_or_its_cross_entropy(system, lambda_dice, lambda_ce, plan):
    loss, D = resolved(plan(system), "loss", "confidence_network_def")
    assert (loss.lambda_dice, loss.lambda_ce) == (lambda_dice, lambda_ce)
    assert sum(p.numel() for p in D.parameters()) == 6  # 4 classes, 1 image channel, bias: as good as no D


def test_focal_weighs_the_scales_as_the_hybrid_loss_does(plan):
    focal, hybrid = (resolved(plan(name), "loss")[0] for name in ("enunet_focal", "enunet_hybrid"))
    weights = np.asarray(hybrid.deep_supervision_weights)
    assert focal.get_weights(3) == pytest.approx(weights / weights.sum())
    # gamma 2 on two classes of probability 1/2: (1 - 1/2)^2 log 2, spread over the 2 classes by MONAI's mean
    logits, labels = torch.zeros(1, 2, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)
    assert focal(logits, labels).item() == pytest.approx(0.25 * np.log(2) / 2)


@pytest.mark.parametrize(
    ("system", "option", "value"),
    [
        ("no_residual", "residual", False),
        ("no_dilation", "dilations", [1, 1]),
        ("no_transformation", "transformation", False),
        ("no_channel_attention", "channel_attention", False),
        ("no_deep_supervision", "deep_supervision", False),
        ("lean", "lean", True),
    ],
)
def test_an_ablation_changes_one_option(system, option, value, plan):
    without, whole = (plan(name).settings["entries"] for name in (system, "enunet_hybrid"))
    assert without["network_def"] == {**whole["network_def"], option: value}
    assert {k: v for k, v in without.items() if k != "network_def"} == {
        k: v for k, v in whole.items() if k != "network_def"
    }


def test_other_networks_are_the_papers(plan):
    assert isinstance(resolved(plan("dsresunet"), "network_def")[0], DSResUNet)
    vnet = resolved(plan("vnet"), "network_def")[0]
    assert isinstance(vnet, PaddedNetwork)
    assert type(vnet.network).__name__ == "VNet"
    assert type(resolved(plan("unet"), "network_def")[0]).__name__ == "UNet"


def test_recording_keeps_the_trainings_handlers(plan, configs):
    before = json.loads((configs / "train.json").read_text())["train"]["handlers"]
    parser = ConfigParser()
    parser.read_config([str(file) for file in plan("default").train])
    assert parser["train#handlers"][: len(before)] == before
    names = [handler["_target_"].split(".")[-1] for handler in parser["train#handlers"][len(before) :]]
    assert names == ["TrainingCurves", "DifficultyFrames"]
