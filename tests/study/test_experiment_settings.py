"""What the report refuses: mixed settings, damaged files, options out of range."""

import os
import shutil

import pandas as pd
import pytest

from dam_study.cli import main
from dam_study.commands.results import report
from dam_study.experiments.cell_settings import settings


def test_settings_are_not_mixed_and_one_group_can_be_picked(two_seeds, write_cell, whole, make_report):
    dice = whole({"c": 0.9}) | whole({"c": 0.9}, "tail")
    write_cell("unet", dice, fold=2, name="ffff", epochs=16)
    with pytest.raises(
        ValueError, match=r"must not be mixed: epochs is 3 in one, 16 in the other; .*--where epochs=3 or"
    ):
        make_report()
    folder = make_report(where="epochs=16", reference="unet")
    assert pd.read_csv(folder / "table1.csv")["DSC (%) head"].tolist() == ["90.00 (-)"]
    assert pd.read_csv(make_report(hash="a0,b0") / "cells.csv")["cells"].tolist() == [1, 2]
    assert pd.read_csv(make_report(where="epochs=3,learning_rate=0.01") / "cells.csv")["cells"].sum() == 6
    with pytest.raises(ValueError, match="where names epoch, which is no setting of any cell"):
        make_report(where="epoch=16")
    with pytest.raises(ValueError, match="none of the 7 cells is epochs=17: ask for less"):
        make_report(where="epochs=17")
    with pytest.raises(ValueError, match="where must be name=value"):
        make_report(where="epochs")


def test_systems_may_differ_but_for_protocol_folds_and_epochs(write_cell, whole, make_report):
    write_cell("enunet_hybrid", whole({"a": 0.5}), patch_size=[40, 56, 40])
    other = write_cell("unet", whole({"a": 0.5}), learning_rate=0.1, patch_size=[32, 32, 16])
    page = (make_report() / "report.md").read_text()
    assert "unet: 2 entries</summary>\n\n- `learning_rate`: `0.1`\n- `patch_size`: `[32, 32, 16]`" in page
    assert pd.read_csv(make_report(where="patch_size=[32, 32, 16]", reference="unet") / "cells.csv").shape[0] == 1
    shutil.rmtree(other)
    write_cell("unet", whole({"a": 0.5}), folds={"folds": 5})
    with pytest.raises(ValueError, match="must not be mixed: folds#folds is 5 in one, 2 in the other"):
        make_report()


def test_settings_leave_out_places_fold_and_seed():
    config = {"protocol": "kfold", "entries": {"seed": 1, "output_dir": "x", "folds": {"fold": 1, "seed": 0}}}
    assert settings(config) == {"protocol": "kfold", "folds#seed": 0}


def test_a_case_counts_once_a_seed(two_seeds, write_cell, whole, make_report):
    dice = whole({"a": 0.9}) | whole({"a": 0.9}, "tail")
    write_cell("unet", dice, fold=1, name="b9")
    with pytest.raises(
        ValueError, match="case a is in .*fold0-seed0-b0 and in .*fold1-seed0-b9, of one system and seed"
    ):
        make_report()


def test_other_organs_are_refused(two_seeds, write_cell, whole, make_report):
    write_cell("ours", whole({"a": 0.9}), name="c0")
    with pytest.raises(
        ValueError, match="ours.*metrics.csv measures head: whole, .*unet.* head: whole; tail: whole: run"
    ):
        make_report()


LINES = "case,label,region,dice,asd_mm,hd95_mm,rvd_percent\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "metrics.csv is missing although the cell is finished: remove the folder .* and run its cell again"),
        ("", "metrics.csv is empty or no CSV: remove the folder"),
        ("case,label\na,b\n", "metrics.csv has no column region, dice, asd_mm, hd95_mm, rvd_percent: remove"),
        (LINES, "metrics.csv is only half written, the end is missing"),
        (LINES + "a,head,whole,0.9,1.0\n", "only half written, line 2 has 5 of 7 values"),
        (LINES + "a,head,whole,0.9,1.0,2.0,5.", "only half written, the end is missing"),
        (LINES + "a,head,whole,0.9,1.0,2.0,5.0\n", "has 1 rows, done.json says 2"),
        (LINES + "a,head,whole,good,1.0,2.0,5.0\n" * 2, "holds something other than numbers .*good"),
        (LINES + "a,head,whole,nan,1.0,2.0,5.0\n" * 2, "holds a dice outside 0 to 1"),
        (LINES + "a,head,whole,0.9,1.0,2.0,5.0\n" * 2, "must hold each case, label and region once"),
    ],
)
def test_damaged_metrics_name_the_file_and_the_remedy(content, message, write_cell, whole, make_report):
    folder = write_cell("unet", whole({"a": 0.5, "b": 0.5}))
    (folder / "metrics.csv").unlink()
    if content is not None:
        (folder / "metrics.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        make_report(reference="unet")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("done.json", "{", "done.json is no JSON object: remove the folder"),
        ("config.json", "[]", "config.json is no JSON object: remove the folder"),
        ("config.json", '{"system": "vnet"}', "says system vnet, its folder unet: do not rename or move"),
        ("config.json", '{"hash": "99"}', "has hash 99, its folder ab12cd34"),
        ("curves.csv", "a,b\n1,2\n", "curves.csv holds no training curves: remove the folder"),
        ("slices.npz", "PK", "slices.npz is no .npz of arrays: remove the folder .* or leave pictures out with --no_p"),
    ],
)
def test_other_damaged_files(file, content, message, write_cell, whole, make_report):
    folder = write_cell("unet", whole({"a": 0.5}))
    (folder / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        make_report(reference="unet", pictures=True)


def test_bad_options(two_seeds, make_report, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder nowhere: name the folder"):
        report("nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no cell in .*empty"):
        report(str(tmp_path / "empty"))
    for options, message in (
        ({"reference": "vnet"}, "no cells of vnet for --reference or --order: there is enunet_hybrid, unet"),
        ({"order": "unet,oops"}, "no cells of oops"),
        ({"task": "brain"}, "no cells of data brain in .*: there is fake"),
        ({"resamples": 0}, "resamples must be at least 1, got 0"),
        ({"pictures_of_images": "yes"}, "pictures_of_images must be True or False, got 'yes'"),
    ):
        with pytest.raises(ValueError, match=message):
            make_report(**options)
    for done in two_seeds.glob("*/*/*/done.json"):
        os.remove(done)
    with pytest.raises(ValueError, match="none of the 6 cells in .* is finished"):
        make_report()


def test_the_command_line_takes_hashes_that_look_like_numbers(tmp_path, write_cell, whole):
    for fold, name in enumerate(("12e45678", "00123456")):
        write_cell("unet", whole({"ab"[fold]: 0.5 + fold / 10}), fold, name=name)
    words = ["report", "--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "out"), "--no_pictures"]
    words += ["--reference=unet", "--hash=00123456", "--where", "epochs=3,protocol=kfold", "--order", "unet"]
    main(words)
    assert pd.read_csv(tmp_path / "out" / "fake" / "table1.csv").iloc[0, 1] == "60.00 (-) [60.00, 60.00]"
    assert "--where epochs=3,protocol=kfold --hash 00123456" in (tmp_path / "out" / "fake" / "report.md").read_text()
    assert not list((tmp_path / "out" / "fake").glob("*.png"))
