"""The claim that the shipped map stands for. Its networks learned from every case, so five pairs
like them are judged."""

from pathlib import Path

import pandas as pd
import pytest

from dam_study.commands.confidence_study import confidence

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "docs" / "results" / "hippocampus_confidence" / "cross_validation"


@pytest.mark.parametrize("region", ["band", "volume"])
def test_maps_like_the_shipped_one_find_errors_better_than_the_softmax(region):
    table = pd.read_csv(STUDY / "confidence.csv").set_index(["region", "score"])
    for rival in ("softmax", "entropy", "temperature"):
        for measure in ("auroc", "aupr"):
            assert table.loc[(region, rival), f"{measure}_difference_low"] > 0  # end of the 95 % interval
    assert table.loc[(region, "D"), "ece"] < 0.02
    assert pd.read_csv(STUDY / "cases.csv")["case"].nunique() == 208


def test_the_shipped_files_are_networks_of_that_kind(hippocampus, tmp_path):
    """On cases that they know, S and D must be at least what their likes are on cases that are new."""
    confidence(str(ROOT / "bundle"), str(hippocampus), str(tmp_path), rivals="softmax", limit=12, resamples=20)
    known = pd.read_csv(tmp_path / "confidence.csv").set_index(["region", "score"])
    new = pd.read_csv(STUDY / "confidence.csv").set_index(["region", "score"])
    for region in ("band", "volume"):
        assert known.loc[(region, "D"), "auroc"] > new.loc[(region, "D"), "auroc"] - 0.01
    dice = [pd.read_csv(folder / "cases.csv")["true_dice"].mean() for folder in (tmp_path, STUDY)]
    assert dice[0] > dice[1]
