"""The claim that the shipped map stands for, on real cases that neither S nor D learned from."""

from pathlib import Path

import pandas as pd

from dam_study.commands.confidence_study import confidence

BUNDLE = Path(__file__).parents[2] / "bundle"


def test_the_shipped_map_finds_errors_better_than_the_softmax(hippocampus, tmp_path):
    confidence(str(BUNDLE), str(hippocampus), str(tmp_path), rivals="softmax,entropy", resamples=200)
    table = pd.read_csv(tmp_path / "confidence.csv").set_index(["region", "score"])
    for region in ("band", "volume"):
        for rival in ("softmax", "entropy"):
            for measure in ("auroc", "aupr"):
                assert table.loc[(region, rival), f"{measure}_difference_low"] > 0  # end of the 95 % interval
        assert table.loc[(region, "D"), "ece"] < 0.02
