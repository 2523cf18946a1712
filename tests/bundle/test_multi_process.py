"""Training and evaluation in two processes, on CPUs with gloo, by multi_gpu_train.json and multi_gpu_evaluate.json."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from tests.bundle.two_ranks import plain_steps

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory, patients):
    """Two processes' results, what they printed, and their folder."""
    folder = tmp_path_factory.mktemp("ranks")
    overrides = {
        "channels": [4, 8, 8, 8],
        "spacing": [5.0, 5.0, 6.0],
        "patch_size": [32, 32, 16],
        "folds#validation": 2,  # at least one a process
        "dataset_dir": str(patients),
        "ckpt_dir": str(folder / "models"),
        "output_dir": str(folder / "output"),
        "epochs": 2,
        "batch_size": 1,
        "lambda_adv": 0.01,
        "warmup_epochs": 0,
    }
    evaluation = {
        "weights": str(folder / "models" / "model.pt"),
        "confidence_weights": str(folder / "models" / "model_confidence.pt"),
        "folds#validation": 1,
        "section": "train",  # three cases for two ranks, of which the sampler makes four
    }
    names = {"train": ["train", "tasks/pelvic", "multi_gpu_train"]}
    names["evaluate"] = ["train", "evaluate", "tasks/pelvic", "multi_gpu_evaluate"]
    asked = {key: [str(CONFIGS / f"{name}.json") for name in each] for key, each in names.items()}
    (folder / "asked.json").write_text(json.dumps({**asked, "overrides": overrides, "evaluation": evaluation}))
    process = subprocess.run(
        [*TORCHRUN, str(Path(__file__).with_name("two_ranks.py")), str(folder)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",  # a library in this process may have set another locale
        timeout=400,
    )
    assert process.returncode == 0, process.stderr
    results = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    return SimpleNamespace(
        folder=folder, results=results, log=process.stdout, overrides=overrides, evaluation=evaluation
    )


@pytest.mark.parametrize("part", ["S", "D", "loss"])
def test_both_ranks_end_with_the_same_parameters_and_running_dice(ranks, part):
    first, second = (result[part] for result in ranks.results)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert all(value.isfinite().all() for value in first.values())


def test_the_metric_is_over_the_cases_of_both_ranks(ranks):
    assert ranks.results[0]["dice"] == ranks.results[1]["dice"]


def test_each_epoch_deals_the_cases_out_anew_and_each_to_one_rank(ranks):
    first, second = ranks.results
    assert first["sampler_epoch"] == second["sampler_epoch"] == 2
    assert sorted([*first["cases"], *second["cases"]]) == [0, 1]


def test_one_rank_writes(ranks):
    for name in ("model.pt", "model_confidence.pt"):
        state = torch.load(ranks.folder / "models" / name, weights_only=True)
        # the network itself, not what wraps it for several processes
        assert state
        assert not any(key.startswith("module.") for key in state)
    runs = sorted(file.name for file in (ranks.folder / "output" / "run").iterdir())
    networks = ["model.pt", "model_confidence.pt"]  # kept here until the training is over, then published
    assert runs == [*networks, "run_checkpoint_epoch=1.pt", "run_checkpoint_epoch=2.pt"]
    assert ranks.log.count("train: epoch ") == ranks.log.count(", val_mean_dice 0.") == 2  # once an epoch


def test_the_evaluation_has_each_case_once_and_is_that_of_one_process(ranks, run_here, tmp_path):
    overrides = {**ranks.overrides, **ranks.evaluation, "output_dir": str(tmp_path)}
    run_here("train.json", "evaluate.json", "tasks/pelvic.json", **overrides)
    rows, one = pd.read_csv(ranks.folder / "output" / "metrics.csv"), pd.read_csv(tmp_path / "metrics.csv")
    assert rows["case"].nunique() == 3
    assert not rows.duplicated(["case", "label", "region"]).any()
    pd.testing.assert_frame_equal(rows, one)
    means = [result["mean_dice"] for result in ranks.results]
    whole = one[one["region"] == "whole"]
    assert means == pytest.approx([whole.groupby("label")["dice"].mean().mean()] * 2)


def test_two_ranks_are_one_process_with_the_doubled_batch(ranks):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one = plain_steps()
    torch.set_num_threads(threads)
    for result in ranks.results:
        torch.testing.assert_close(result["steps"], one, rtol=0, atol=1e-4)
    untrained = plain_steps(epochs=0)
    assert max(float((one[name] - value).abs().max()) for name, value in untrained.items()) > 0.01  # they did learn
