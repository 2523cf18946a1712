"""Every benchmark's measuring function at toy size: the shape of its table, never its times."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import inference, losses, pipeline, precision, run_all, scaling, step, time_to_dice
from benchmarks.bundle_parts import bundle_parts
from benchmarks.memory import peak_mb
from benchmarks.pairing import interleave, ratio_columns
from benchmarks.tables import write_table
from benchmarks.training_steps import STEPS, Problem, build_step
from dam_components.synthetic import write_pelvic_dataset

TOY = Problem(patch=(8, 8, 8), batch=1, channels=(4, 8, 8), strides=(2, 2))
RATIO = ["ratio", "ratio_q25", "ratio_q75", "ratio_ci_low", "ratio_ci_high"]


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Overrides of train.json: synthetic patients, tiny networks."""
    shape = (16, 16, 8)
    folder = write_pelvic_dataset(tmp_path_factory.mktemp("data") / "patients", cases=3, shape=shape)
    return {
        "tasks": "pelvic",
        "device": torch.device("cpu"),
        "dataset_dir": str(folder),
        "channels": [2, 4, 4, 4],
        "spacing": [10.0, 10.0, 12.0],
        "patch_size": list(shape),
        "patches_per_case": 1,
        "folds#folds": 3,
        "folds#validation": 1,
    }


@pytest.mark.parametrize("amp", [False, True])
def test_step(amp):
    table = step.measure(Problem(**{**vars(TOY), "amp": amp}), rounds=2, with_memory=False)
    assert list(table["variant"]) == list(STEPS)
    assert table[["seconds", *RATIO]].gt(0).all(axis=None)
    assert table["ratio"][0] == 1


def test_every_variant_trains_s():
    for name in STEPS:
        trainer = STEPS[name](TOY)
        trainer.state.epoch = 1
        network = getattr(trainer, "network", None) or getattr(trainer, "g_network", None) or trainer.state.g_network
        before = [parameter.clone() for parameter in network.parameters()]
        trainer._iteration(trainer, TOY.data())
        assert not all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)), name


def test_an_unknown_variant_is_named():
    with pytest.raises(ValueError, match="variant must be one of .*'supervised'.*, got 'none'"):
        build_step("none", TOY)


def test_losses_and_their_memory():
    table = losses.measure(rounds=2, classes=3, patch=(8, 8, 8), batch=1, with_memory=False)
    assert list(table["variant"]) == list(losses.LOSSES)
    assert table[RATIO].gt(0).all(axis=None)


def test_peak_memory_is_that_of_the_work():
    assert peak_mb(partial, (torch.ones, 40, 250_000)) == pytest.approx(40, abs=15)  # 40 MB, in a process of its own


def test_inference():
    problem = Problem(patch=(8, 8, 8), channels=(4, 8, 8), strides=(2, 2))
    table = inference.measure(problem, volume=(12, 12, 8), rounds=1)
    names = ["S", "S and D", "S, D and report", "S, D, report and picture"]
    assert list(table["variant"][:4]) == names
    assert table["variant"][4].startswith("UNet")
    assert table[RATIO].gt(0).all(axis=None)


def test_precision():
    table = pd.DataFrame(precision.measure(TOY, rounds=1, forced=True))
    assert table["variant"].tolist() == [*["False", "auto", "True"] * 2, "False", "bfloat16 by force"]
    assert (table["warnings"] <= 1).all()
    assert (table[RATIO] > 0).all(axis=None)


def test_scaling():
    sizes = {"patches": [(8, 8, 8), (16, 8, 8)], "classes": (2, 3), "batches": (1, 2)}
    table = scaling.measure(**sizes, rounds=1, channels=(2, 4, 4, 4), with_memory=False)
    assert table.groupby(["what", "grows"]).size().to_dict() == {
        (what, axis): 2 for what in ("loss", "step") for axis in ("batch", "classes", "voxels a patch")
    }


def test_the_fit_tells_linear_from_quadratic():
    amounts = np.array([1, 2, 4, 8])
    linear, square = scaling.fit(amounts, 3 + 2 * amounts), scaling.fit(amounts, amounts**2)
    assert (linear["r2"], linear["exponent"]) == (pytest.approx(1), pytest.approx(1))
    assert square["exponent"] == pytest.approx(2)


def test_pipeline(training):
    table = pipeline.measure(workers=(0,), epochs=1, **training)
    assert 0 < table["share"][0] < 1
    assert table["iterations"][0] == 2


def test_time_to_dice(training):
    table = time_to_dice.measure(budget_s=0.05, mark=0.0, every=1, **training)
    assert list(table["variant"]) == list(time_to_dice.RUNS)
    assert (table["reached_s"] > 0).all()  # a mark of 0 is reached at the first look
    assert table["final_dice"].between(0, 1).all()


def test_overrides_reach_the_bundle(training):
    assert bundle_parts(**training).get_parsed_content("num_classes") == 4
    assert bundle_parts(**training).get_parsed_content("batch_size") == 1


def test_variants_take_turns():
    order = []
    times = interleave({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2, warmup=1)
    assert order == ["a", "b", "a", "b", "b", "a"]
    assert [len(seconds) for seconds in times.values()] == [2, 2]


def test_ratios_are_those_of_neighbours():
    # 2 to 1 in both rounds, though the machine was ten times slower in the second
    columns = ratio_columns(np.array([2.0, 20.0]), np.array([1.0, 10.0]))
    assert set(columns.values()) == {2.0}


def test_tables_are_written(tmp_path):
    write_table(pd.DataFrame([{"variant": "a", "seconds": 0.5}]), tmp_path, "step", "A title")
    assert "| a | 0.5000 |" in (tmp_path / "step.md").read_text()
    assert pd.read_csv(tmp_path / "step.csv")["seconds"].tolist() == [0.5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step.csv", "step.md"]


def test_one_call_runs_all_and_names_what_failed(monkeypatch, tmp_path, capsys):
    calls = {}

    def stand_in(name):
        def main(*positional, **options):
            calls[name] = options
            if name == "losses":
                raise RuntimeError("no memory")

        return main

    names = ("losses", "step", "networks", "inference", "pipeline", "scaling", "time_to_dice")
    names += ("precision", "whole_inference")  # of a CPU alone
    for name in names:
        monkeypatch.setattr(getattr(run_all, name), "main", stand_in(name))
    with pytest.raises(SystemExit, match="failed: losses"):
        run_all.main(str(tmp_path), device="cpu", rounds=30)
    assert tuple(calls) == names
    assert "no memory" in capsys.readouterr().err
    assert calls["step"] == {"rounds": 30, "output_dir": str(tmp_path), "device": "cpu", "threads": 1}

    calls.clear()
    monkeypatch.setattr(run_all.losses, "main", lambda **options: None)
    run_all.main(str(tmp_path), device="cuda", threads=2, budget_s=0)
    assert calls["inference"]["volume"] == (256, 256, 160)
    assert calls["inference"]["amp"]
    assert calls["step"]["output_dir"] == str(tmp_path / "cuda")
    assert tuple(calls) == ("step", "networks", "inference", "pipeline", "scaling")
