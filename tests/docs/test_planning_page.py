"""The page on planning says what the rules and the configuration do."""

import json
from pathlib import Path

import pytest

from dam_components.planning import coarser_grid, plan, plan_geometry, window_budget

PROJECT = Path(__file__).parents[2]
ROWS = dict(
    [cell.strip() for cell in line.split("|")[1:4:2]]
    for line in (PROJECT / "docs" / "planning.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
)
TRAIN = json.loads((PROJECT / "bundle" / "configs" / "train.json").read_text(encoding="utf-8"))
STEPS = {
    step["_target_"].split(".")[-1]: step
    for step in [*TRAIN["train"]["preprocessing_transforms"][:-1], *TRAIN["train"]["random_transforms"]]
}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("rotation", f"{plan.ROTATION * 180 / 3.14159:.0f} degrees, every second patch"),
        ("size of the patch", f"by default {plan.PATCH_VOXELS // 1000} {plan.PATCH_VOXELS % 1000}, for a CPU"),
        ("size of the patch", f"up to {window_budget.GPU_PATCH_VOXELS // 10**6} 000 000"),
        ("grid", "less than a quarter of" if coarser_grid.LEAST_VIEW == 1 / 4 else str(coarser_grid.LEAST_VIEW)),
        ("grid", f"coarser by up to {['once', 'twice'][round(coarser_grid.COARSEST) - 1]}"),
        (
            "batch",
            f"from {'a million' if plan.SEVERAL_FROM == 1_000_000 else plan.SEVERAL_FROM} `--patch_voxels` on 2 to 8",
        ),
        ("length", f"{plan.STEPS} steps in 20 to 500 epochs"),
        ("network", f"{len(plan_geometry.stage_strides((512,) * 3, (1, 1, 1)))} strides at most; 16 feature maps"),
        ("optimiser", f"{TRAIN['optimizer']['_target_'].split('.')[-1]}, rate {TRAIN['learning_rate']}"),
        ("resampling of images", STEPS["BundleSpacingd"]["mode"][0].replace("bilinear", "linear")),
        ("resampling of labels", STEPS["BundleSpacingd"]["mode"][1]),
        ("scaling", "{:g} to {:g}".format(*(1 + sign * STEPS["RandAffined"]["scale_range"][0] for sign in (-1, 1)))),
        ("order of axes", {"RAS": "right, front, head"}[STEPS["Orientationd"]["axcodes"]]),
        ("cases that validate", "a tenth, at least nine, or three tenths of fewer than 30"),
        ("largest piece", f"{100 * plan.ONE_PIECE:g} % of the structure"),
    ],
)
def test_the_page_says_what_is_done(row, words):
    assert words in ROWS[row]


def test_what_the_page_says_of_counts():
    assert STEPS["RandAffined"]["prob"] == 0.5
    assert STEPS["RandFlipd"]["spatial_axis"] == 0  # left and right
    assert "ratios" not in STEPS["RandCropByLabelClassesd"]  # all classes with the same chance
    assert [plan.plan_split(cases)[1] for cases in (200, 90, 30, 20)] == [20, 9, 9, 6]
    assert plan.LEAST_TO_CALIBRATE == 9
    assert (plan.NONZERO_SHARE, plan.FEW_TO_CHOOSE_BY) == (0.75, 10)
