"""Flips, ensembles and the largest component, in inference and in evaluation."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigParser
from scipy import ndimage

KEYS = ("channels", "spacing", "patch_size")


@pytest.fixture
def setup(trained, patients, tmp_path):
    """Overrides for inference over one patient, whose volume is one window; two folds' weights lie beside."""
    (tmp_path / "images").mkdir()
    shutil.copy(patients / "imagesTr" / "pelvic_000.nii.gz", tmp_path / "images")
    state = torch.load(trained.weights["weights"], weights_only=True)
    for fold, scale in ((0, 1.0), (1, 1.5)):
        (tmp_path / f"fold{fold}").mkdir()
        torch.save({name: scale * value for name, value in state.items()}, tmp_path / f"fold{fold}" / "model.pt")
    return {
        **{key: trained.overrides[key] for key in KEYS},
        **trained.weights,
        "dataset_dir": str(tmp_path / "images"),
        "output_dir": str(tmp_path / "out"),
        "review_picture": False,
    }


@pytest.fixture
def infer(run_here, setup, tmp_path):
    """Runs inference; gives segmentation, M, the report and the workflow."""

    def run(*overlays, **changes):
        workflow = run_here("inference.json", "tasks/pelvic.json", *overlays, **{**setup, **changes})
        case = tmp_path / "out" / "pelvic_000"
        maps = [np.asarray(nib.load(case / f"pelvic_000_{kind}.nii.gz").dataobj) for kind in ("seg", "confidence")]
        return *maps, json.loads((case / "pelvic_000_report.json").read_text()), workflow

    return run


def single_passes(workflow, files, axes):
    """P̂ of each file and flip, and X, from the parts of a workflow."""
    network = workflow.parser.get_parsed_content("network_def").eval()
    X = next(iter(workflow.parser.get_parsed_content("dataset")))["image"].as_tensor()[None]
    for file in files:
        network.load_state_dict(torch.load(file, weights_only=True))
        with torch.no_grad():
            for dims in axes:
                yield network(X.flip(dims)).flip(dims).softmax(1), X


@pytest.mark.parametrize("order", [("flips.json", "ensemble.json"), ("ensemble.json", "flips.json")])
def test_d_judges_the_mean_over_folds_and_flips(infer, setup, tmp_path, order):
    weights = [str(tmp_path / f"fold{fold}" / "model.pt") for fold in (0, 1)]
    segmentation, M, report, workflow = infer(*order, weights=weights, flip_axes=[0, 2], amp=False)
    passes = list(single_passes(workflow, weights, [[], [2], [4], [2, 4]]))
    assert len(passes) == 8
    mean, X = torch.stack([p for p, _ in passes]).mean(0), passes[0][1]
    D = workflow.parser.get_parsed_content("confidence_network").eval()
    with torch.no_grad():
        expected = D(torch.cat([mean, X], 1)).sigmoid()[0, 0]
    np.testing.assert_allclose(M, expected, atol=2e-4 + 0.5 / 255)  # the file holds 255ths
    sure = (mean[0].topk(2, 0).values.diff(dim=0).abs() > 1e-4)[0].numpy()
    assert (segmentation == mean[0].argmax(0).numpy())[sure].all()
    assert sure.mean() > 0.99
    single = passes[0][0]
    assert not np.allclose(M, D(torch.cat([single, X], 1)).detach().sigmoid()[0, 0], atol=2e-4)  # it matters
    assert report["case"] == "pelvic_000"


def test_the_ensemble_takes_the_folds_that_it_names(configs, tmp_path):
    parser = ConfigParser()
    parser.read_config([str(configs / "inference.json"), str(configs / "ensemble.json")])
    parser["bundle_root"], parser["ensemble_folds"] = "here", [1, 3]
    assert parser.get_parsed_content("weights") == ["here/models/fold1/model.pt", "here/models/fold3/model.pt"]


def pieces(segmentation):
    return [ndimage.label(segmentation == index, np.ones((3, 3, 3)))[1] for index in (1, 2, 3)]


def test_the_largest_component_is_kept_in_the_segmentation_and_its_report(infer):
    before, M, *_ = infer()
    assert max(pieces(before)) > 1
    segmentation, M_after, report, _ = infer(largest_component=[1, 2, 3])
    assert max(pieces(segmentation)) == 1
    assert set(np.unique(segmentation[segmentation != before])) == {0}
    volumes = [report["classes"][name]["volume_ml"] for name in ("bladder", "prostate", "rectum")]
    voxel_ml = 5 * 5 * 6 / 1000
    assert volumes == pytest.approx([(segmentation == index).sum() * voxel_ml for index in (1, 2, 3)])
    np.testing.assert_array_equal(M, M_after)


def evaluate(run_here, trained, patients, output, *overlays, **changes):
    common = {**trained.overrides, **trained.weights, "dataset_dir": str(patients), "output_dir": str(output)}
    run_here("train.json", "evaluate.json", "tasks/pelvic.json", *overlays, **{**common, **changes})
    return pd.read_csv(output / "metrics.csv").query("region == 'whole'")


def test_evaluation_judges_what_inference_writes(run_here, trained, patients, tmp_path, infer):
    rows = evaluate(run_here, trained, patients, tmp_path / "evaluation", largest_component=[1, 2, 3])
    case = rows["case"].iloc[0]
    images = tmp_path / "images"
    (images / "pelvic_000.nii.gz").unlink()
    shutil.copy(patients / "imagesTr" / f"{case}.nii.gz", images / "pelvic_000.nii.gz")
    _, _, report, _ = infer(largest_component=[1, 2, 3])
    volumes = [report["classes"][name]["volume_ml"] for name in rows["label"]]
    assert rows["volume_ml"].tolist() == pytest.approx(volumes)
    _, _, report, _ = infer()
    assert volumes != [report["classes"][name]["volume_ml"] for name in rows["label"]]


def test_evaluation_flips(run_here, trained, patients, tmp_path):
    plain, flipped = (
        evaluate(run_here, trained, patients, tmp_path / str(len(overlays)), *overlays)
        for overlays in ((), ("flips.json",))
    )
    assert plain["dice"].tolist() != flipped["dice"].tolist()


def test_promise12_keeps_one_prostate(configs):
    assert json.loads((configs / "tasks" / "promise12.json").read_text())["largest_component"] == [1]
