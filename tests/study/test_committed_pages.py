"""A page in docs/results is what its command makes of the committed cells."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dam_components.data import make_folds
from dam_study.commands.results import report
from dam_study.statistics.significance import mean_interval

RESULTS = Path(__file__).parents[2] / "docs" / "results"
pytestmark = pytest.mark.skipif(not RESULTS.is_dir(), reason="the results are not there")


@pytest.mark.parametrize(
    ("folder", "data", "reference"),
    [
        ("longer", "hippocampus", "voxel_correctness_flips"),
        ("literal", "hippocampus", "paper"),
        ("brain", "ibsr18", "unet"),
        ("ibsr18_folds", "ibsr18", "enunet_hybrid"),
        ("pelvic_seeds", "pelvic", "enunet_hybrid"),
        ("promise12_folds", "promise12", "enunet_hybrid"),
    ],
)
def test_the_tables_and_the_page_are_rebuilt_byte_for_byte(tmp_path, folder, data, reference):
    report(str(RESULTS / folder / "runs"), str(tmp_path), reference=reference)
    rebuilt = {file.name: file for file in (tmp_path / data).iterdir()}
    committed = {file.name: file for file in (RESULTS / folder / data).iterdir()}
    assert rebuilt.keys() == committed.keys()
    for name, file in committed.items():
        if file.suffix != ".png":  # these follow matplotlib's version
            assert rebuilt[name].read_bytes() == file.read_bytes(), name


def cross_validation_row(name, rows):
    """A line of the table on that page: Dice of the two structures and of a case's mean, ASD and HD95."""
    dice, cases = rows.groupby("label")["dice"].mean() * 100, rows.groupby("case")["dice"].mean() * 100
    mean, low, high = mean_interval(cases)
    distances = f"{rows['asd_mm'].mean():.3f} | {rows['hd95_mm'].mean():.2f}"
    cells = [
        name,
        str(len(cases)),
        *(f"{dice[label]:.2f}" for label in sorted(dice.index)),
        f"{mean:.2f} [{low:.2f}, {high:.2f}]",
    ]
    return f"| {' | '.join(cells)} | {distances} |"


def test_the_cross_validation_is_what_its_cases_say_and_tests_each_case_once():
    folder = RESULTS / "hippocampus_cross_validation"
    page, rows = (folder / "README.md").read_text(encoding="utf-8"), pd.read_csv(folder / "metrics.csv")
    names = sorted(set(rows["case"]))
    assert len(names) == 208
    assert not rows.duplicated(["case", "label"]).any()
    folds = make_folds(names, 5, 0, 0)
    for number, fold in enumerate(folds):
        assert cross_validation_row(str(number), rows[rows["case"].isin(fold["test"])]) in page
    assert cross_validation_row("all", rows) in page
    assert cross_validation_row("all but 0", rows[~rows["case"].isin(folds[0]["test"])]) in page
    assert cross_validation_row("all, with flips", pd.read_csv(folder / "metrics_flips.csv")) in page
    others = {"all_terms": "all, with attention on classes", "voxel_correctness": "all, voxel attention alone"}
    for system, words in others.items():
        other = pd.read_csv(folder / f"metrics_{system}.csv")
        assert cross_validation_row(words, other) in page
        gap = 100 * (rows.set_index(["case", "label"])["dice"] - other.set_index(["case", "label"])["dice"])
        gaps = gap.groupby("case").mean()
        by_fold = [f"{gaps[fold['test']].mean():+.2f}" for fold in folds]
        line = "{:+.2f} [{:+.2f}, {:+.2f}] points".format(*mean_interval(gaps))
        assert f"{line}, by fold {', '.join(by_fold[:-1])} and {by_fold[-1]}" in page.replace("\n", " ")


SCORES = {
    "D": "D, 1 - M",
    "softmax": "1 - max softmax",
    "entropy": "entropy",
    "temperature": "softmax at a fitted temperature",
    "untrained": "D before any training",
    "flips": "flips",
}


def confidence_row(name, row):
    """A line of the table of the shipped map: AUROC and AUPR with D minus it, ECE, time."""

    def own(what):
        interval = f" [{row[f'{what}_low']:.3f}, {row[f'{what}_high']:.3f}]" if name == "D" else ""
        return f"{row[what]:.3f}{interval}"

    def gap(what):
        three = (row[f"{what}_difference{end}"] for end in ("", "_low", "_high"))
        return "" if name == "D" else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*three)

    ece = "" if pd.isna(row["ece"]) else f"{row['ece']:.3f}"
    cells = [SCORES[name], own("auroc"), gap("auroc"), own("aupr"), gap("aupr"), ece, f"{row['relative_time']:.2f}"]
    return "| " + " | ".join(cells).replace("|  |", "| |") + " |"


@pytest.mark.parametrize("page", ["results/hippocampus_confidence/cross_validation/README.md", "confidence.md"])
def test_the_shipped_maps_table_is_what_its_study_says(page):
    text = (RESULTS.parent / page).read_text(encoding="utf-8")
    table = pd.read_csv(RESULTS / "hippocampus_confidence" / "cross_validation" / "confidence.csv")
    for _, row in table[table["region"] == "band"].iterrows():
        assert confidence_row(row["score"], row) in text


def test_the_shipped_models_figures_are_those_of_its_cross_validation():
    bundle = RESULTS.parents[1] / "bundle"
    rows = pd.read_csv(RESULTS / "hippocampus_cross_validation" / "metrics.csv")
    of_label, cases = rows.groupby("label").mean(numeric_only=True), rows.groupby("case")["dice"].mean()
    auroc = pd.read_csv(RESULTS / "hippocampus_confidence" / "cross_validation" / "confidence.csv")
    auroc = auroc[auroc["region"] == "band"].set_index("score")["auroc"]
    said = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))["eval_metrics"]
    expected = {"test_cases": len(cases), "mean_dice": cases.mean()}
    for part in ("anterior", "posterior"):
        expected[f"dice_{part}"] = of_label["dice"][f"{part} hippocampus"]
        expected[f"asd_mm_{part}"] = of_label["asd_mm"][f"{part} hippocampus"]
    expected |= {"confidence_auroc_band": auroc["D"], "softmax_auroc_band": auroc["softmax"]}
    assert said == {name: round(float(value), 4) for name, value in expected.items()}
    page = (bundle / "docs" / "README.md").read_text(encoding="utf-8")
    for label, row in of_label.iterrows():
        numbers = (f"{row[column]:.4f}" for column in ("dice", "asd_mm", "hd95_mm", "rvd_percent"))
        assert f"| {label} | {' | '.join(numbers)} |" in page
    mean, low, high = mean_interval(cases)
    assert f"| mean | {mean:.4f} |" in page
    readme = (RESULTS.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"| {mean:.3f} [{low:.3f}, {high:.3f}]; " in readme


def region_row(name, rows):
    """A line of the tables of PROMISE12's folds."""
    whole = rows[rows["region"] == "whole"].sort_values("case")  # the bootstrap of the report, to the last digit
    mean, low, high = mean_interval(whole["dice"] * 100)
    parts = rows.groupby("region")["dice"].mean() * 100
    cells = [name, str(len(whole)), f"{mean:.2f} [{low:.2f}, {high:.2f}]"]
    cells += [f"{parts[region]:.2f}" for region in ("base", "middle", "apex")]
    return f"| {' | '.join(cells)} | {whole['asd_mm'].mean():.2f} | {whole['hd95_mm'].mean():.2f} |"


def fold_rows(folder, system):
    """A system's rows of all folds; each case is there once."""
    files = sorted(folder.glob(f"runs/promise12/{system}/fold*/metrics.csv"))
    rows = pd.concat([pd.read_csv(file).assign(fold=number) for number, file in enumerate(files)])
    assert not rows.duplicated(["case", "region"]).any()
    return rows


def difference_row(name, a, b):
    """A line of the table of differences: whole, base, middle, apex."""
    cells = []
    for region in ("whole", "base", "middle", "apex"):
        pair = [rows[rows["region"] == region].set_index("case")["dice"] for rows in (a, b)]
        gap = 100 * (pair[0] - pair[1]).dropna().sort_index()
        cells.append("{:+.2f} [{:+.2f}, {:+.2f}]".format(*mean_interval(gap)))
    return f"| {name} | {len(gap)} | {' | '.join(cells)} |"


def test_the_folds_of_promise12_are_what_their_cases_say_and_test_each_case_once():
    folder = RESULTS / "promise12_folds"
    page = (folder / "README.md").read_text(encoding="utf-8")
    systems = {
        name: fold_rows(folder, name) for name in ("enunet_hybrid", "all_terms", "default", "voxel_correctness_flips")
    }
    for name, rows in systems.items():
        assert rows["case"].nunique() == 36
        assert region_row(name, rows) in page
    rows, hybrid = systems["default"], systems["enunet_hybrid"]
    for number in range(4):
        assert region_row(str(number), rows[rows["fold"] == number]) in page
    assert region_row("all", rows) in page
    assert region_row("all but 1", rows[rows["fold"] != 1]) in page
    for beside in (hybrid, systems["all_terms"]):
        assert difference_row("all", rows, beside) in page
        others = [each[each["case"] != "Case01"] for each in (rows, beside)]
        assert difference_row("without Case01", *others) in page
    small = pd.read_csv(folder / "small_window.csv")
    for number in (0, 1):
        assert region_row(str(number), small[small["fold"] == number]) in page


def organ_attention(cells, column, seeds=(0, 1, 2)):
    """What organ attention adds to the default in each case, in points of Dice: mean and interval, and each seed's."""
    tables = []
    for system in ("all_terms", "default"):
        files = [
            (seed, file) for seed in seeds for file in sorted(cells.glob(f"{system}/fold*-seed{seed}-*/metrics.csv"))
        ]
        rows = pd.concat([pd.read_csv(file).assign(seed=seed) for seed, file in files])
        rows = rows[(rows["region"] == "whole") & (rows["label"].eq(column) | (column == "mean"))]
        tables.append(rows.groupby(["case", "seed"])["dice"].mean())
    gaps = 100 * (tables[0] - tables[1])
    by_seed = gaps.groupby("seed").mean()
    return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*mean_interval(gaps.groupby("case").mean())), [
        f"{s:+.2f}" for s in by_seed
    ]


def test_what_organ_attention_costs_is_what_the_cells_say():
    page = (RESULTS.parent / "paper.md").read_text(encoding="utf-8")
    brains = RESULTS / "ibsr18_folds" / "runs" / "ibsr18"
    mean, csf = (organ_attention(brains, column, [0])[0] for column in ("mean", "CSF"))
    assert f"| IBSR18, five folds | 10 | 0 | {mean} | {csf} |" in page
    for seed in (1, 2):
        mean, csf = (organ_attention(brains, column, [seed])[1][0] for column in ("mean", "CSF"))
        assert f"| IBSR18, fold 0 | 2 | {seed} | {mean} | {csf} |" in page
    mean, seeds = organ_attention(RESULTS / "runs" / "hippocampus", "mean")
    assert f"| hippocampus, fold 0 | 42 | 0, 1, 2 | {mean}, by seed {seeds[0]} to {seeds[2]} | |" in page
    mean, seeds = organ_attention(RESULTS / "pelvic_seeds" / "runs" / "pelvic", "mean", [0, 1])
    assert f"| pelvic, synthetic | 10 | 0, 1 | {mean}, by seed {seeds[0]} and {seeds[1]} | |" in page


def test_the_leads_of_the_cross_validation_are_what_their_cases_say():
    folder = RESULTS / "hippocampus_cross_validation"
    page, rows = (folder / "README.md").read_text(encoding="utf-8"), pd.read_csv(folder / "leads.csv")
    dice = rows.groupby(["lead", "case"])["dice"].mean().unstack("lead") * 100
    asd = rows.groupby("lead")["asd_mm"].mean()
    for lead in dice:
        mean, low, high = mean_interval(dice[lead] - dice["rate 1e-3"])
        difference = "" if lead == "rate 1e-3" else f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] "
        assert f"| {dice[lead].mean():.2f} | {difference}| {asd[lead]:.3f} |" in page
