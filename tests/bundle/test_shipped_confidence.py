"""The claim that the shipped map stands for, on real cases that neither S nor D learned from."""

import os
from pathlib import Path

import pandas as pd
import pytest

from dam_components.report.confidence_study import confidence

BUNDLE = Path(__file__).parents[2] / "bundle"
DATA = Path(os.environ.get("DAM_DATA", Path(__file__).parents[3] / "shared" / "data")).resolve() / "Task04_Hippocampus"


@pytest.mark.skipif(not DATA.is_dir(), reason="DAM_DATA names no real data")
def test_the_shipped_map_finds_errors_better_than_the_softmax(tmp_path):
    confidence(str(BUNDLE), str(DATA), str(tmp_path), rivals="softmax,entropy", resamples=200)
    table = pd.read_csv(tmp_path / "confidence.csv").set_index(["region", "score"])
    for region in ("band", "volume"):
        for rival in ("softmax", "entropy"):
            for measure in ("auroc", "aupr"):
                assert table.loc[(region, rival), f"{measure}_difference_low"] > 0  # end of the 95 % interval
        assert table.loc[(region, "D"), "ece"] < 0.02
