"""Calibration, metrics tables, options, results of an earlier run, cases for review."""

import json
import logging
import sys

import pandas as pd
import torch

from dam_components.distributed import case_sampler
from dam_components.errors import keep_traceback
from dam_components.handlers.case_metrics import interleave, undefined_distances
from dam_components.handlers.summary import write_summary
from dam_components.metrics import DiceCalibration
from dam_components.options import check_bundle_options
from dam_components.transforms.case_report import case_quality
from dam_study.commands.comparison import compare
from tests.checks.table import refused, taken

PLACE = "Calibration, tables, options and results"
GOOD = {"raw": [0.5, 0.9], "dice": [0.4, 0.8], "spread_base": 0.1, "spread_slope": 0.2, "pairs": 20}


def load(folder, level=0.9, **changes):
    content = {"level": level, "classes": [{**GOOD, **changes}], "networks": []}
    (folder / "calibration.json").write_text(json.dumps(content))
    return DiceCalibration.load(folder / "calibration.json", 1)


@taken(PLACE, "a good calibration.json", "read")
def _(tmp_path):
    assert load(tmp_path).classes[0].pairs == 20


for name, changes, words in (
    ("a Dice of 7", {"dice": [0.4, 7]}, "a Dice lies in 0..1, got 0.4..7"),
    ("a negative Dice", {"raw": [-0.5, 0.9]}, "a Dice lies in 0..1"),
    ("a Dice of NaN", {"dice": [0.4, float("nan")]}, "is no Dice calibration"),
    ("a negative spread", {"spread_base": -0.1}, "spreads must be 0 or more"),
    ("an infinite spread", {"spread_slope": float("inf")}, "spreads must be 0 or more"),
    ("a level of NaN", {"level": float("nan")}, "the level of intervals lies between 0 and 1"),
    ("a level of 90", {"level": 90}, "the level of intervals lies between 0 and 1"),
    ("a falling map", {"dice": [0.8, 0.4]}, "must rise"),
    ("knots that do not fit each other", {"raw": [0.5]}, "is no Dice calibration"),
    ("no knot", {"raw": [], "dice": []}, "is no Dice calibration"),
    ("an unknown entry", {"more": 1}, "is no Dice calibration"),
    ("a word for a number", {"spread_base": "wide"}, "is no Dice calibration"),
):

    @refused(PLACE, f"calibration.json with {name}", words)
    def _(tmp_path, given=changes):
        load(tmp_path, **given)


@refused(PLACE, "calibration.json that is no JSON", "is no Dice calibration")
def _(tmp_path):
    (tmp_path / "calibration.json").write_text("{")
    DiceCalibration.load(tmp_path / "calibration.json")


@refused(PLACE, "calibration.json of which one digit was changed", "its checksum does not fit its numbers")
def _(tmp_path):
    file = tmp_path / "calibration.json"
    load(tmp_path).save(file)
    file.write_text(file.read_text().replace('"level": 0.9', '"level": 0.8'))
    DiceCalibration.load(file)


@refused(PLACE, "calibration.json of which the name of an entry was changed", "unknown entry chexksum")
def _(tmp_path):
    file = tmp_path / "calibration.json"
    load(tmp_path).save(file)
    file.write_text(file.read_text().replace("checksum", "chexksum"))
    DiceCalibration.load(file)


@taken(PLACE, "calibration.json with its checksum, and one of before 0.2, which has none", "read")
def _(tmp_path):
    known = load(tmp_path)
    known.save(tmp_path / "calibration.json")
    assert DiceCalibration.load(tmp_path / "calibration.json") == known


@refused(PLACE, "calibration.json for another number of classes", "was fitted for 1 foreground classes")
def _(tmp_path):
    load(tmp_path)
    DiceCalibration.load(tmp_path / "calibration.json", 3)


def metrics(file, **changes):
    rows = [
        {"case": f"c{n}", "label": "a", "region": "whole", "dice": 0.8 + n / 100, "asd_mm": 1.0, "hd95_mm": 2.0 + n}
        for n in range(6)
    ]
    table = pd.DataFrame(rows).assign(rvd_percent=0.0, volume_ml=1.0, reference_ml=1.0)
    for name, value in changes.items():
        table.loc[2, name] = value
    if changes.get("case") == "c1":
        table.loc[2] = table.loc[1]
    table.to_csv(file, index=False)
    return str(file)


@taken(PLACE, "one validation case under several processes", "each process validates it, and the mean is its own")
def _(tmp_path):
    assert [[*case_sampler(["a"], ranks=3, rank=rank)] for rank in range(3)] == [[0]] * 3


@refused(PLACE, "two validation cases under three processes", "2 validation cases are too few for 3 processes")
def _(tmp_path):
    case_sampler(["a", "b"], ranks=3, rank=0)


@taken(PLACE, "two cases to evaluate under three processes", "one is evaluated twice, and counted once")
def _(tmp_path):
    dealt = [[*case_sampler(["a", "b"], may_repeat=True, ranks=3, rank=rank)] for rank in range(3)]
    assert sorted(sum(dealt, [])) == [0, 0, 1]
    assert interleave([{"a": 1}, {"b": 2}, {"a": 1}]) == {"a": 1, "b": 2}


@refused(PLACE, "compare: a row twice", "it has the row c1, a, whole twice")
def _(tmp_path):
    compare(metrics(tmp_path / "a.csv", case="c1"), metrics(tmp_path / "b.csv"))


@refused(PLACE, "compare: a Dice of NaN", "the Dice of c2, a is nan")
def _(tmp_path):
    compare(metrics(tmp_path / "a.csv", dice=float("nan")), metrics(tmp_path / "b.csv"))


@refused(PLACE, "compare: a Dice of 1.5", "the Dice of c2, a is 1.5")
def _(tmp_path):
    compare(metrics(tmp_path / "a.csv", dice=1.5), metrics(tmp_path / "b.csv"))


@refused(PLACE, "compare: tables of other cases", "both sides must have the same cases")
def _(tmp_path):
    compare(metrics(tmp_path / "a.csv", case="other"), metrics(tmp_path / "b.csv"))


@refused(PLACE, "compare: a file that is no table of evaluate.json", "is no metrics.csv")
def _(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    compare(str(tmp_path / "a.csv"), metrics(tmp_path / "b.csv"))


@taken(PLACE, "compare: a distance that is undefined on one side", "left out on both, and the number of cases says so")
def _(tmp_path):
    files = metrics(tmp_path / "a.csv", hd95_mm=float("nan")), metrics(tmp_path / "b.csv")
    compare(*files, output=str(tmp_path / "out.csv"))
    found = pd.read_csv(tmp_path / "out.csv").query("label == 'a'").set_index("metric")
    assert (found.loc["hd95_mm", "cases"], found.loc["dice", "cases"]) == (5, 6)
    assert found.loc["hd95_mm", "ours"] == found.loc["hd95_mm", "reference"]


@taken(PLACE, "evaluation: undefined distances (an empty mask)", "counted and named below the means")
def _(tmp_path):
    rows = [{"case": "a", "label": "x", "hd95_mm": float("nan")}, {"case": "b", "label": "x", "hd95_mm": 1.0}]
    assert "1 of 2 distances are undefined" in undefined_distances(rows)


def options(*words):
    check_bundle_options(["x/monai/bundle/__main__.py", "run", *words])


def config(folder, **entries):
    (folder / "c.json").write_text(json.dumps({"epochs": 1, "train": {"a": 1}}))
    (folder / "args.json").write_text(json.dumps(entries))
    return str(folder / "c.json"), str(folder / "args.json")


@refused(PLACE, "a misspelt option", "no entry epoch; did you mean --epochs?")
def _(tmp_path):
    options("--config_file", config(tmp_path)[0], "--epoch", "3")


@refused(PLACE, "a misspelt option in --args_file", "no entry epoch; did you mean --epochs?")
def _(tmp_path):
    file, _ = config(tmp_path)
    _, arguments = config(tmp_path, config_file=file, epoch=3)
    options("--args_file", arguments)


@refused(PLACE, "a misspelt option beside --args_file", "no entry seeed")
def _(tmp_path):
    file, _ = config(tmp_path)
    _, arguments = config(tmp_path, config_file=file)
    options("--args_file", arguments, "--seeed", "3")


@taken(PLACE, "right options in --args_file", "taken")
def _(tmp_path):
    file, _ = config(tmp_path)
    _, arguments = config(tmp_path, config_file=file, epochs=3)
    options("--args_file", arguments, "--train#a", "2")


@taken(PLACE, "reports of an earlier run in the output folder", "not counted, and named once in the log")
def _(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        report = {"case": name, "review": False, "predicted_mean_dice": 0.9, "calibrated": False, "reasons": []}
        report |= {"classes": {}, "image": f"{name}.nii.gz"}
        (tmp_path / name / f"{name}_report.json").write_text(json.dumps(report))
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    logger = logging.getLogger("dam_components.handlers.summary")
    logger.addHandler(handler)
    try:
        table = pd.read_csv(write_summary(tmp_path, {"new"}))
    finally:
        logger.removeHandler(handler)
    assert [*table["case"]] == ["new"]
    assert [line.split(" in ")[0] for line in seen] == ["1 cases"]


def reasons(mask):
    probabilities = torch.stack([1.0 - mask, mask]).float() * 0.98 + 0.01
    return case_quality(probabilities, torch.ones(1, *mask.shape), (1.0, 1.0, 1.0), {1: "organ"})["reasons"]


@taken(PLACE, "a structure that is half outside the image", "for review: it touches the border")
def _(tmp_path):
    mask = torch.zeros(12, 12, 12)
    mask[3:9, 3:9, 3:9] = 1
    assert not any("border" in reason for reason in reasons(mask))
    for axis in range(3):
        for flipped in (False, True):
            half = mask.narrow(axis, 6, 6) if not flipped else mask.narrow(axis, 0, 6)
            assert any("organ touches the border" in reason for reason in reasons(half))


@taken(PLACE, "an error of a library", "one line with the cause, and the file that has the rest")
def _(tmp_path):
    try:
        torch.zeros(2) + torch.zeros(3)
    except RuntimeError as error:
        file = keep_traceback(error)
    assert "Traceback" in file.read_text()
    file.unlink()
    assert sys.excepthook is not None
