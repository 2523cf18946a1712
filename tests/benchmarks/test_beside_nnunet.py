"""Beside nnU-Net: budgets, judging and tables, with small commands in the place of trainings."""

import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from benchmarks.beside_nnunet import System, measure, page, summarise, train
from benchmarks.nnunet.prepare import NAME

WORK = """
import sys, time, pathlib
folder = pathlib.Path(sys.argv[2]); folder.mkdir(parents=True)
wanted = 0.05 + 0.02 * int(sys.argv[1])
while time.process_time() < wanted: pass
(folder / "epochs").write_text(sys.argv[1])
"""
PREDICT = """
import shutil, sys, pathlib
labels, folder, wrong = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3] == "wrong"
folder.mkdir(parents=True)
import nibabel, numpy
for file in labels.glob("*.nii.gz"):
    image = nibabel.load(file)
    values = numpy.asarray(image.dataobj).copy()
    if wrong: values[values == 2] = 0
    nibabel.save(nibabel.Nifti1Image(values, image.affine), folder / file.name)
"""


@pytest.fixture
def scratch(tmp_path):
    labels = tmp_path / "raw" / NAME / "labelsTs"
    labels.mkdir(parents=True)
    for number in range(4):
        values = np.zeros((10, 12, 8), np.uint8)
        values[2:5, 2 : 8 + number % 3, 2:6], values[5:8, 2:8, 2:6] = 1, 2
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 2.0, 1.0])), labels / f"case_{number}.nii.gz")
    return tmp_path


def system(name, scratch, how="right", **options):
    labels = str(scratch / "raw" / NAME / "labelsTs")
    return System(
        name,
        "by hand",
        lambda epochs, folder: ([sys.executable, "-c", WORK, str(epochs), str(folder)], {}),
        lambda folder, output: ([sys.executable, "-c", PREDICT, labels, str(output), how], {}),
        "{case}.nii.gz",
        **options,
    )


def test_each_budget_has_its_training_and_the_page_its_numbers(scratch):
    systems = [system("one", scratch, "wrong"), system("other", scratch), system("late", scratch, only_longest=True)]
    *_, rows = measure(systems, [0.005, 0.01], scratch)
    epochs = rows.groupby(["system", "budget_min"])["epochs"].first()
    assert epochs["one", 0.01] - epochs["one", 0.005] == pytest.approx(15, abs=5)  # 0.3 s more, 0.02 s each
    assert ("late", 0.005) not in epochs.index
    assert ("late", 0.01) in epochs.index
    assert set(rows["dice"]) == {0.0, 1.0}
    table, reached = summarise(rows, systems)
    assert table.loc[table["system"] == "one", "Dice, %"].tolist() == ["50.00 [50.00, 50.00]"] * 2
    assert table.loc[table["system"] == "other", "Dice minus one"].tolist() == ["+50.00 [+50.00, +50.00]"] * 2
    assert reached.set_index("system")["to 0.88"].to_dict() == {"one": "not reached", "other": "0.005", "late": "0.01"}
    text = page(rows, systems, "the command")
    assert "means over 4 test cases" in text
    assert "by hand" in text


def test_what_is_done_is_kept_and_a_half_done_training_is_not(scratch):
    one, folder = system("one", scratch), scratch / "model"
    seconds = train(one, 1, folder)
    (folder / "epochs").write_text("seen")
    assert train(one, 1, folder) == seconds
    assert (folder / "epochs").read_text() == "seen"
    (folder / "training.json").unlink()
    train(one, 2, folder)
    assert (folder / "epochs").read_text() == "2"


def test_a_command_that_fails_names_its_log(scratch):
    fails = ([sys.executable, "-c", "raise SystemExit('no data')"], {})
    bad = replace(system("bad", scratch), train=lambda epochs, folder: fails)
    with pytest.raises(SystemExit, match=r"its output is in .*model\.log"):
        train(bad, 1, scratch / "model")
    assert "no data" in (scratch / "model.log").read_text()
