"""This bundle beside nnU-Net on the hippocampus, at equal processor time: the same cases train, the same cases judge.

``python -m benchmarks.beside_nnunet --data ../shared/data/Task04_Hippocampus``; it needs nnunetv2
(``pip install -e '.[nnunet]'``). What is done is kept: the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import fire
import nibabel
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.beside_systems import SMALL, WINDOW, Command, System, all_systems
from benchmarks.forked import measured
from benchmarks.nnunet.half_plan import half_plan
from benchmarks.nnunet.prepare import NAME, prepare
from benchmarks.nnunet.program import nnunet_program
from benchmarks.tables import machine
from dam_components.atomic_files import write_whole
from dam_components.confidence.evidence_table import markdown_table
from dam_components.metrics import case_metrics
from dam_study.statistics.significance import mean_interval

__all__ = ["main"]

CLASSES = {1: "anterior hippocampus", 2: "posterior hippocampus"}
PROBES = (1, 2)  # epochs of the trainings that tell what an epoch costs
MARKS = (0.86, 0.88)


def run(command: Command, log: Path) -> float:
    """Runs it and gives its processor seconds.

    Raises:
        SystemExit: if it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words, variables = command
    ended = measured(words, log, variables)
    if ended.status:
        raise SystemExit(f"a command failed: its output is in {log}")
    return ended.processor_s


def train(system: System, epochs: int, folder: Path) -> float:
    """Processor seconds of the training, from its file if it is done."""
    done = folder / "training.json"
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        seconds = run(system.train(epochs, folder), folder.parent / f"{folder.name}.log")
        write_whole(done, json.dumps({"epochs": epochs, "processor_s": seconds}))
    return json.loads(done.read_text(encoding="utf-8"))["processor_s"]


def judge(system: System, folder: Path, labels: Path) -> pd.DataFrame:
    """Dice, ASD and HD95 of each test case and structure."""
    predicted, unfinished = folder / "predicted", folder / "predicting"
    if not predicted.is_dir():
        shutil.rmtree(unfinished, ignore_errors=True)
        run(system.predict(folder, unfinished), folder / "predicted.log")
        unfinished.rename(predicted)
    rows = []
    for file in sorted(labels.glob("*.nii.gz")):
        case = file.name.removesuffix(".nii.gz")
        label, found = nibabel.load(file), nibabel.load(predicted / system.found.format(case=case))
        spacing = [float(size) for size in label.header.get_zooms()[:3]]
        prediction, truth = (np.asarray(image.dataobj).astype(int) for image in (found, label))
        rows += [{"case": case, **row} for row in case_metrics(prediction, truth, spacing, CLASSES)]
    return pd.DataFrame(rows)


def epochs_within(system: System, minutes: float, folder: Path) -> int:
    """As many epochs as fit the processor minutes.

    Two short trainings tell what an epoch costs, and each longer one that is done tells it better.
    """
    for epochs in PROBES:
        train(system, epochs, folder / f"probe{epochs}")
    done = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*/training.json")]
    done.sort(key=lambda training: training["epochs"])
    first, last = done[0], done[-1]
    epoch = (last["processor_s"] - first["processor_s"]) / (last["epochs"] - first["epochs"])
    start = first["processor_s"] - first["epochs"] * epoch
    return max(1, round((60 * minutes - start) / epoch))


def measure(systems: list[System], budgets: list[float], scratch: Path) -> Iterator[pd.DataFrame]:
    """A row a case and structure, of every system and budget; after each training all rows so far.

    The shortest budget of all systems comes first.
    """
    tables = []
    jobs = [(minutes, system) for minutes in budgets for system in systems]
    jobs = [job for job in jobs if job[0] == budgets[-1] or not job[1].only_longest]
    for minutes, system in tqdm(jobs, unit="training"):
        place = scratch / re.sub(r"[^\w-]+", "_", system.name)
        folder = place / f"{minutes:g}min"
        asked = folder / "training.json"
        epochs = json.loads(asked.read_text())["epochs"] if asked.is_file() else epochs_within(system, minutes, place)
        seconds = train(system, epochs, folder)
        table = judge(system, folder, scratch / "raw" / NAME / "labelsTs")
        facts = {"system": system.name, "budget_min": minutes, "epochs": epochs, "processor_min": seconds / 60}
        tables.append(table.assign(**facts))
        yield pd.concat(tables, ignore_index=True)


def interval(values: pd.Series, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """Mean over cases with its 95 % interval."""
    mean, low, high = (scale * value for value in mean_interval(values))
    return f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def summarise(rows: pd.DataFrame, systems: list[System]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for each system and budget; and the budget at which each system is first at each mark."""
    case_means = rows.groupby(["system", "budget_min", "case"])[["dice", "asd_mm", "hd95_mm"]].mean()
    table = []
    for (budget, name), group in rows.groupby(["budget_min", "system"], sort=False):
        means, base = case_means.loc[(name, budget)], case_means.loc[(systems[0].name, budget)]
        structures = group.groupby("label")["dice"].mean() * 100
        table.append(
            {
                "processor minutes, wanted": budget,
                "system": name,
                "epochs": group["epochs"].iloc[0],
                "processor minutes": f"{group['processor_min'].iloc[0]:.1f}",
                "Dice, %": interval(means["dice"], 2, 100),
                **{f"Dice, % {label}": f"{structures[label]:.2f}" for label in CLASSES.values()},
                "ASD, mm": interval(means["asd_mm"], 3),
                "HD95, mm": interval(means["hd95_mm"], 2),
                f"Dice minus {systems[0].name}": ""
                if name == systems[0].name
                else interval(means["dice"] - base["dice"], 2, 100, "+"),
            }
        )
    reached = []
    dice = case_means["dice"].groupby(["system", "budget_min"]).mean()
    for system in systems:
        own = dice.loc[system.name]
        first = {f"to {mark:g}": min((b for b, value in own.items() if value >= mark), default=None) for mark in MARKS}
        reached.append(
            {"system": system.name, **{name: "not reached" if b is None else f"{b:g}" for name, b in first.items()}}
        )
    return pd.DataFrame(table), pd.DataFrame(reached)


def page(rows: pd.DataFrame, systems: list[System], command: str) -> str:
    """The tables as Markdown."""
    table, reached = summarise(rows, systems)
    cases = rows["case"].nunique()
    return "\n".join(
        [
            "# Tables: beside nnU-Net at equal processor time",
            "",
            f"`{command}`; {machine()}.",
            "",
            f"Dice, ASD and HD95 are means over {cases} test cases and two structures, with 95 % intervals over cases.",
            "",
            markdown_table(table),
            "",
            "Shortest of these trainings that reaches a mean Dice, in processor minutes:",
            "",
            markdown_table(reached),
            "",
            "How each is trained:",
            "",
            markdown_table(pd.DataFrame({"system": s.name, "training": s.describe} for s in systems)),
            "",
        ]
    )


def main(
    data: str,
    output_dir: str = "docs/results/beside_nnunet",
    scratch: str = "output/beside_nnunet",
    minutes: tuple[float, ...] = (5, 10, 20),
    amp: bool = True,
) -> None:
    """Trains all systems at every budget, and writes ``tables.md`` and ``cases.csv``.

    Args:
        data: the Decathlon's ``Task04_Hippocampus``.
        output_dir: where the tables go.
        scratch: trainings and segmentations; those that are there are not made again.
        minutes: budgets, in processor minutes, rising.
        amp: bfloat16 for all of them. A processor without it is many times slower with it.
    """
    work = Path(scratch).absolute()
    here = Path(__file__).resolve().parent / "nnunet"
    variables = {f"nnUNet_{name}": str(work / name) for name in ("raw", "preprocessed", "results")}
    os.environ.update(variables)
    torch.set_num_threads(1)  # and of all trainings
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    os.environ.update({**threads, "nnUNet_extTrainer": str(here), "DAM_AMP": str(int(amp))})
    os.environ.update({"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1"})
    if not (work / "preprocessed" / NAME / f"{SMALL}.json").is_file():
        prepare(Path(data))
        options = ["-d", "4", "-c", "3d_fullres", "-np", "1", "-npfp", "1"]
        plan = nnunet_program("nnUNetv2_plan_and_preprocess", *options)
        run((plan, {"nnUNet_n_proc_DA": "1"}), work / "plan.log")
        half_plan()
        half_plan(name=SMALL, patch_size=WINDOW)
    systems = all_systems(Path(data), work / "raw" / NAME, amp)
    target = Path(output_dir)
    for rows in measure(systems, sorted(minutes), work):
        write_whole(target / "cases.csv", rows.to_csv(index=False, float_format="%.5f"))
        trained = [system for system in systems if system.name in set(rows["system"])]
        text = page(rows, trained, "python -m benchmarks.beside_nnunet --data Task04_Hippocampus")
        write_whole(target / "tables.md", text)
    print(text)


if __name__ == "__main__":
    fire.Fire(main)
