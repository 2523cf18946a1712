"""A baseline as a cell of the experiments: the bundle's evaluation with an overlay in place of a network."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from monai.bundle import ConfigWorkflow

from dam_components.synthetic import write_pelvic_dataset
from dam_study.experiments.planned_cell import plan_cell

TINY = {
    "malf": {"network#atlases": 1, "network#registration#iterations": 3, "network#registration#deformable": "none"},
    "ssae": {
        "network#hidden": [6],
        "network#patch_size": [3, 3, 3],
        "network#epochs": 1,
        "network#refine_epochs": 1,
        "network#neighbours": 2,
        "network#matching": "nearest",
        "network#margin": 0,
        "network#search": 0,
        "network#registration#iterations": 3,
    },
}


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    return write_pelvic_dataset(tmp_path_factory.mktemp("data") / "patients", cases=3, shape=(32, 32, 16))


@pytest.mark.parametrize("system", ["malf", "ssae"])
def test_a_cell_measures_the_cases_of_its_fold(system, patients, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # a workflow adds the bundle
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    overrides = {"spacing": [6.0, 6.0, 6.0], **TINY[system]}  # the files have 5 x 5 x 6 mm: it is inverted
    cell = plan_cell(system, "pelvic", patients, 0, 0, "two-fold", None, 0, overrides, tmp_path / "runs")
    cell.store_folds()
    assert cell.settings["entries"]["epochs"] == 0  # nothing is trained
    workflow = ConfigWorkflow(
        [str(f) for f in cell.evaluate], logging_file=False, **cell.setup, output_dir=str(tmp_path)
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()

    fold = json.loads(next((tmp_path / "runs" / "pelvic").glob("folds-*.json")).read_text())["splits"][0]
    assert len(fold["test"]) == 2
    assert len(fold["train"]) == 1
    assert workflow.parser.get_parsed_content("network").atlases.names == fold["train"]
    rows = pd.read_csv(tmp_path / "metrics.csv")
    assert sorted(rows["case"].unique()) == fold["test"]
    assert rows["label"].unique().tolist() == ["bladder", "prostate", "rectum"]
    assert rows["region"].unique().tolist() == ["whole", "apex", "middle", "base"]
    assert rows.query("region == 'whole'").groupby("label")["dice"].mean().mean() > 0.3  # pelves are alike
    with np.load(tmp_path / "slices.npz") as kept:
        assert {name.split("/")[0] for name in kept.files} == {*fold["test"]}
        sure = kept[f"{fold['test'][0]}/middle/confidence"]
    assert sure.min() > 0
    assert sure.max() <= 1
