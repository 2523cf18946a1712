"""The report's tables and page, by hand from cells written for it."""

import numpy as np
import pandas as pd
import pytest

from dam_study.experiments.case_values import MEAN
from dam_study.report.system_differences import difference_table

REGIONS = ("whole", "apex", "middle", "base")


def test_table_1_and_its_numbers_by_hand(two_seeds, make_report):
    folder = make_report()
    table = pd.read_csv(folder / "table1.csv").set_index("system")
    assert list(table.index) == ["unet", "enunet_hybrid"]  # the paper's order, not the alphabet's
    # hybrid, head: seeds averaged 0.75 and 0.85, mean 0.80, standard deviation 0.1 / sqrt(2) = 0.0707
    assert table.loc["enunet_hybrid", "DSC (%) head"] == "80.00 (7.07)"
    assert table.loc["enunet_hybrid", "DSC (%) tail"] == "55.00 (0.00)"
    # mean of organs 0.65 and 0.70; two cases, so the interval is from the one to the other
    assert table.loc["enunet_hybrid", f"DSC (%) {MEAN} [95 %]"] == "67.50 (3.54) [65.00, 70.00]"
    assert table.loc["unet", "DSC (%) head"] == "65.00 (7.07)"
    assert table.loc["unet", "ASD (mm) head"] == "1.000 (0.000)"
    assert table.loc["unet", "ASD (mm) tail"] == "3.000 (-) *1"  # one case, the other has no distance
    summary = pd.read_csv(folder / "summary.csv").set_index(["system", "label", "region", "metric"])
    row = summary.loc["unet", MEAN, "whole", "asd_mm"]
    assert row["mean"] == 2.0
    assert row["cases"] == 1
    assert row["undefined"] == 1


def test_differences_by_hand(two_seeds, make_report):
    folder = make_report()
    table = pd.read_csv(folder / "differences.csv").set_index(["label", "metric"])
    row = table.loc[MEAN, "dice"]  # 0.45 - 0.60 and 0.50 - 0.65: seed 1, which unet lacks, does not count
    assert (row["system"], row["reference"], row["cases"]) == ("unet", "enunet_hybrid", 2)
    assert row["difference"] == pytest.approx(-0.15)
    assert row["low"] == pytest.approx(-0.15)
    assert row["high"] == pytest.approx(-0.15)
    # both signs alike in 2 of 4 patterns; one comparison, so Holm leaves it
    assert row["wilcoxon_p"] == row["holm_p"] == row["permutation_p"] == 0.5
    assert not row["significant"]
    page = (folder / "report.md").read_text()
    mean = "| unet | mean of organs | whole | -15.00 [-15.00, -15.00] | 0.5000 | 0.5000 | 0.5000 |"
    assert f"{mean} -15.00 to -15.00 | no | 2 |" in page
    assert "| 2 | 0 |" in page  # the seeds that both have
    other = make_report(reference="unet")
    assert pd.read_csv(other / "differences.csv")["difference"].max() == pytest.approx(0.2)  # tail: 0.50 - 0.30


def test_tables_2_and_3_and_the_score(write_cell, make_report):
    dice = {("a", "prostate", region): value for region, value in zip(REGIONS, (0.9, 0.6, 0.95, 0.8), strict=True)}
    perfect = {**dict.fromkeys(dice, 1.0)}
    write_cell("enunet_hybrid", dice)
    write_cell("ours", perfect, asd_mm=dict.fromkeys(dice, 0.0))
    folder = make_report()
    three = pd.read_csv(folder / "table3.csv").set_index("system")
    assert three.columns.tolist() == ["DSC (%) base", "DSC (%) middle", "DSC (%) apex"]
    assert three.loc["enunet_hybrid"].tolist() == ["80.00 (-)", "95.00 (-)", "60.00 (-)"]
    two = pd.read_csv(folder / "table2.csv").set_index("system")
    assert two.columns.tolist()[::3] == ["DSC (%) whole", "ASD (mm) whole", "95HD (mm) whole", "RVD (%) whole", "score"]
    assert two.loc["enunet_hybrid", ["95HD (mm) apex", "RVD (%) base"]].tolist() == ["2.00 (-)", "5.00 (-)"]
    # nine perfect metrics score 100, three volume differences of 5 % 100 - 75 / reference (6.3, 6.6, 7.7)
    expected = (9 * 100 + sum(100 - 75 / reference for reference in (6.3, 6.6, 7.7))) / 12
    assert two.loc["ours", "score"] == f"{expected:.2f} (-)"


def test_what_the_page_says_of_the_cells(two_seeds, write_cell, whole, make_report, tmp_path):
    dice = whole({"a": 0.5}) | whole({"a": 0.5}, "tail")
    write_cell("ours", dice, name="c0")
    write_cell("ours", dice, fold=1, name="c1", done=False)
    page = (make_report() / "report.md").read_text()
    assert "| enunet_hybrid | 4 | 0, 1 | 0, 1 | 2 | 3 | 2.00 | x86_64, 2 cores |" in page  # 4 cells of half an hour
    assert "python -m dam_study experiment --system unet --fold 0 --seed 0" in page
    assert "- ours, fold 1, seed 0: begun, not finished" in page
    assert "- unet, fold 0, seed 1: not begun" in page
    assert "- ours, fold 0, seed 0" not in page
    assert "enunet_hybrid, unet, ours: torch 2.13" in page or "unet, enunet_hybrid, ours: torch 2.13" in page
    assert str(tmp_path) not in page


def test_order_is_an_option_and_data_sets_stand_apart(two_seeds, write_cell, whole, make_report):
    write_cell("unet", whole({"a": 0.1}), data="other", epochs=16)
    folder = make_report(order="enunet_hybrid,unet")
    assert pd.read_csv(folder / "table1.csv")["system"].tolist() == ["enunet_hybrid", "unet"]
    other = folder.with_name("other")
    assert not (other / "differences.csv").exists()
    assert "None: there must be finished cells of enunet_hybrid" in (other / "report.md").read_text()


def test_a_difference_that_is_called_significant_does_not_outlive_shuffled_labels():
    """With the two systems' labels shuffled in each case, the same table calls few differences."""
    rng = np.random.default_rng(0)
    base, gain = rng.uniform(0.7, 0.9, 25), rng.gamma(2.0, 0.01, 25)

    def called(gains, seed=0):
        rows = [
            {"system": s, "label": "head", "region": "whole", "metric": "dice", "case": f"{i:02}", "value": v}
            for s, values in (("hybrid", base), ("ours", base + gains))
            for i, v in enumerate(values)
        ]
        values = {"ours": pd.DataFrame(rows)}
        return bool(difference_table(values, ["hybrid", "ours"], "hybrid", 2, 199, seed)["significant"][0])

    assert called(gain)
    # 0.05 of 120, a standard deviation of 0.02; called only where both tests agree, so rather fewer
    assert np.mean([called(gain * rng.choice([-1, 1], 25), i) for i in range(120)]) <= 0.1


def test_seeds_that_disagree_are_not_called_significant():
    def rows(ours):
        return pd.DataFrame(
            {"system": s, "label": "head", "region": "whole", "metric": "dice", "case": f"{i:02}", "value": v}
            for s, level in (("hybrid", 0.8), ("ours", ours))
            for i, v in enumerate(level + np.linspace(0, 0.01, 25) * (s == "ours"))
        )

    def table(*seeds):
        mean = {"ours": rows(float(np.mean(seeds)))}
        by_seed = {"ours": {seed: rows(value) for seed, value in enumerate(seeds)}}
        return difference_table(mean, ["hybrid", "ours"], "hybrid", 2, 199, by_seed=by_seed).iloc[0]

    # the cases' own part has a mean of 0.005
    agree, disagree = table(0.81, 0.85), table(0.78, 0.88)
    assert agree["difference"] == pytest.approx(0.035)
    assert disagree["difference"] == pytest.approx(0.035)
    assert (agree["seed_low"], agree["seed_high"]) == pytest.approx((0.015, 0.055))
    assert (disagree["seed_low"], disagree["seed_high"]) == pytest.approx((-0.015, 0.085))
    assert agree["significant"]
    assert not disagree["significant"]
