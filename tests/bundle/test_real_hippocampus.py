"""A few real cases (Task04_Hippocampus) through training, evaluation and inference; DAM_DATA names their folder."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def few_cases(hippocampus, tmp_path):
    """An index of five of the cases, where they lie."""
    index = json.loads((hippocampus / "dataset.json").read_text())
    first = index["training"][:5]
    index["training"] = [{key: str(hippocampus / entry[key]) for key in ("image", "label")} for entry in first]
    folder = tmp_path / "few"
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


def test_real_cases_are_trained_on_evaluated_and_segmented(run_here, hippocampus, few_cases, tmp_path):
    models = tmp_path / "models"
    weights = {"weights": str(models / "model.pt"), "confidence_weights": str(models / "model_confidence.pt")}
    common = {"dataset_dir": str(few_cases), "channels": [4, 8, 8, 8]}
    training = {"ckpt_dir": str(models), "folds#folds": 5, "folds#validation": 1}
    run_here("train.json", **common, **training, output_dir=str(tmp_path / "training"), epochs=1)

    evaluation = {"section": "test", "output_dir": str(tmp_path / "evaluation")}
    run_here("train.json", "evaluate.json", **common, **training, **weights, **evaluation)
    rows = pd.read_csv(tmp_path / "evaluation" / "metrics.csv")
    assert rows["label"].tolist() == ["anterior hippocampus", "posterior hippocampus"]  # one case
    label = nib.load(hippocampus / "labelsTr" / f"{rows['case'][0]}.nii.gz").get_fdata()
    assert rows["reference_ml"].tolist() == pytest.approx([(label == i).sum() / 1000 for i in (1, 2)])  # 1 mm voxels

    run_here("inference.json", **common, **weights, output_dir=str(tmp_path / "out"))
    assert len(list((tmp_path / "out").glob("*/*_confidence.nii.gz"))) == 5
    for written in (tmp_path / "out").glob("*/*_seg.nii.gz"):
        image = nib.load(hippocampus / "imagesTr" / f"{written.parent.name}.nii.gz")
        assert nib.load(written).shape == image.shape
        np.testing.assert_allclose(nib.load(written).affine, image.affine, atol=1e-5)
