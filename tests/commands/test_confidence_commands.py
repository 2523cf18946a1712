"""``confidence fit`` and ``apply``, from folders of files to a bundle, maps and a verdict."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.commands.confidence_maps import apply, model_configs
from dam_components.commands.confidence_model import fit, write_bundle
from dam_components.commands.planning import name_by_user
from dam_components.data.probability_cases import find_probabilities
from dam_components.planning.stored_bundle import put_stored_inference
from dam_components.planning.stored_dataset import stored_dataset

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (16, 20, 12)


def blob(draw):
    """A label of two classes, one beside the other."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"))
    centre = np.array(SHAPE)[:, None, None, None] / 2 + draw.uniform(-2, 2, (3, 1, 1, 1))
    inside = (((grid - centre) / np.array([5, 6, 4]).reshape(3, 1, 1, 1)) ** 2).sum(0) < 1
    return inside * (1 + (grid[1] > centre[1])).astype(np.uint8)


def write_case(folder, name, seed, stored=True):
    """An image, its label, and probabilities of an S that is too sure of itself and misses a strip now and then."""
    draw = np.random.default_rng(seed)
    label = blob(draw)
    image = label + 0.4 * draw.standard_normal(SHAPE)
    affine = np.diag([-1.0, -1.0, 1.5, 1.0])
    for part, values in (("images", image.astype(np.float32)), ("labels", label)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / part / f"{name}.nii.gz")
    evidence = np.stack([-np.abs(image - value) for value in range(3)]) * 8
    p = np.exp(evidence - evidence.max(0))
    if stored:
        (folder / "stored").mkdir(exist_ok=True)
        np.savez(
            folder / "stored" / f"{name}.npz", probabilities=(p / p.sum(0)).astype(np.float32).transpose(0, 3, 2, 1)
        )


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for number in range(12):
        write_case(folder, f"case_{number:02}", number)
    (folder / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "T1"}, "labels": {"background": 0, "front": 1, "back": 2}})
    )
    return folder


@pytest.fixture(scope="module")
def model(cases, tmp_path_factory):
    target = tmp_path_factory.mktemp("model") / "confidence"
    command = [sys.executable, "-m", "dam_components", "confidence", "fit", "--images", cases / "images"]
    command += ["--labels", cases / "labels", "--probabilities", cases / "stored", "--output", target]
    command += ["--iterations", "12", "--parts", "2", "--resamples", "50"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return target, done.stdout


def test_fit_leaves_a_bundle_with_a_verdict(model):
    target, printed = model
    assert "D helps" in printed or "D does not help" in printed
    assert "your word that the model did not train" in printed  # a plain folder has no folds
    for name in ("models/model_confidence.pt", "models/calibration.json", "docs/confidence.md", "docs/confidence.png"):
        assert (target / name).is_file()
    table = pd.read_csv(target / "docs" / "confidence.csv").set_index(["region", "score"])
    assert {"D", "softmax", "entropy", "temperature", "isotonic", "untrained"} == {score for _, score in table.index}
    assert (
        table.loc[("band", "softmax"), "auroc_difference_low"] < table.loc[("band", "softmax"), "auroc_difference_high"]
    )
    assert len(pd.read_csv(target / "docs" / "cases.csv")["case"].unique()) == 12
    assert "front" in (target / "docs" / "agreement.csv").read_text()


def test_apply_writes_what_inference_writes_and_leaves_the_segmentation_as_it_was(model, cases, tmp_path):
    target, _ = model
    for number in (20, 21):
        write_case(tmp_path, f"new_{number}", number)
    apply(images=tmp_path / "images", probabilities=tmp_path / "stored", model=target, output=tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "summary.csv")) == 2
    for number in (20, 21):
        written = {file.name.removeprefix(f"new_{number}_") for file in (tmp_path / "out" / f"new_{number}").iterdir()}
        assert written == {"seg.nii.gz", "confidence.nii.gz", "report.json", "review.png"}
        seg = nibabel.load(tmp_path / "out" / f"new_{number}" / f"new_{number}_seg.nii.gz")
        stored = np.load(tmp_path / "stored" / f"new_{number}.npz")["probabilities"].transpose(0, 3, 2, 1)
        np.testing.assert_array_equal(np.asarray(seg.dataobj), stored.argmax(0))
        image = nibabel.load(tmp_path / "images" / f"new_{number}.nii.gz")
        np.testing.assert_allclose(seg.affine, image.affine)
    report = json.loads((tmp_path / "out" / "new_20" / "new_20_report.json").read_text())
    assert report["calibrated"]
    assert set(report["classes"]) == {"front", "back"}


def test_apply_takes_the_d_of_a_bundle_with_an_s_of_its_own_and_the_report_says_so(tmp_path):
    write_case(tmp_path, "new", 20)
    apply(images=tmp_path / "images", probabilities=tmp_path / "stored", model=bundle_folder(), output=tmp_path / "out")
    report = json.loads((tmp_path / "out" / "new" / "new_report.json").read_text())
    assert any("was trained for another S" in remark for remark in report["remarks"])
    assert not report["calibrated"]


def test_the_bundle_that_fit_wrote_runs_by_itself(model, tmp_path):
    target, _ = model
    config = json.loads((target / "configs" / "inference.json").read_text())
    assert config["network"]["_target_"] == "dam_components.networks.StoredProbabilities"
    assert config["weights"] == []
    assert config["spacing"] == [-1.0, -1.0, -1.0]


def spaced_case(folder, name, seed, spacing):
    """``write_case`` with other voxels. The probabilities are noise, so any resampling changes what is called."""
    write_case(folder, name, seed)
    for part in ("images", "labels"):
        file = folder / part / f"{name}.nii.gz"
        values = np.asarray(nibabel.load(file).dataobj)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([*spacing, 1.0])), file)
    p = np.random.default_rng(seed).dirichlet(np.ones(3), SHAPE).astype(np.float32).transpose(3, 2, 1, 0)
    np.savez(folder / "stored" / f"{name}.npz", probabilities=p)


def test_a_grid_of_its_own_leaves_the_segmentation_as_it_was(model, tmp_path):
    target = Path(shutil.copytree(model[0], tmp_path / "model"))
    file = target / "configs" / "inference.json"
    config = json.loads(file.read_text())
    assert not config["crop_nonzero"]
    file.write_text(json.dumps(config | {"spacing": [1.3, 1.3, 1.5]}))
    for number, spacing in enumerate(([1.0, 1.0, 1.5], [1.6, 1.6, 1.5])):
        spaced_case(tmp_path, f"case_{number}", number, spacing)
    apply(images=tmp_path / "images", probabilities=tmp_path / "stored", model=target, output=tmp_path / "out")
    for number in range(2):
        written = tmp_path / "out" / f"case_{number}" / f"case_{number}"
        seg, map_ = (nibabel.load(f"{written}_{name}.nii.gz") for name in ("seg", "confidence"))
        stored = np.load(tmp_path / "stored" / f"case_{number}.npz")["probabilities"].transpose(0, 3, 2, 1)
        np.testing.assert_array_equal(np.asarray(seg.dataobj), stored.argmax(0))
        assert map_.shape == SHAPE
        np.testing.assert_allclose(map_.affine, nibabel.load(tmp_path / "images" / f"case_{number}.nii.gz").affine)


def test_a_grid_is_planned_where_the_images_spacings_differ(cases, tmp_path):
    for number in range(4):
        spaced_case(tmp_path, f"case_{number}", number, [1.0, 1.0, 1.5] if number % 2 else [1.6, 1.6, 1.5])
    stored = find_probabilities(str(tmp_path / "stored"))
    for folder, files, grid in (
        (tmp_path, stored, [1.3, 1.3, 1.5]),
        (cases, find_probabilities(str(cases / "stored")), None),
    ):
        dataset = stored_dataset(str(folder / "images"), str(folder / "labels"), files, str(folder / "stored"))
        name_by_user(dataset, None, {1: "front", 2: "back"})
        assert write_bundle(tmp_path / f"model{grid is None}", bundle_folder(), dataset, files, "czyx") == grid
    put_stored_inference(tmp_path / "modelFalse", [1.3, 1.3, 1.5])
    for name in ("train.json", "inference.json"):
        config = json.loads((tmp_path / "modelFalse" / "configs" / name).read_text())
        assert (config["spacing"], config["crop_nonzero"]) == ([1.3, 1.3, 1.5], False)


@pytest.mark.parametrize("spacing", ["1,1", "1,1,0", "far", "1,1,-1"])
def test_a_bad_spacing_costs_nothing(cases, tmp_path, spacing):
    with pytest.raises(ValueError, match="spacing must be native, or three positive numbers of mm"):
        fit(cases / "images", cases / "labels", cases / "stored", tmp_path / "new", spacing=spacing)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 90}, "level must be between 0 and 1, got 90"),
        ({"resamples": 0}, "resamples must be at least 1, got 0"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"parts": 1}, "parts must be from 2 to the number of cases, 12, got 1"),
        ({"parts": 13}, "parts must be from 2 to the number of cases, 12, got 13"),
    ],
)
def test_bad_options_of_fit_cost_nothing(cases, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fit(cases / "images", cases / "labels", cases / "stored", tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def change(folder, change_values):
    """Writes a case's probabilities again."""
    file = folder / "stored" / "case_01.npz"
    np.savez(file, probabilities=change_values(np.load(file)["probabilities"]))


WRONG = {
    "swapped axes": (lambda f: change(f, lambda p: p.transpose(0, 3, 2, 1)), "the axes x and z look swapped"),
    "logits": (lambda f: change(f, lambda p: np.log(p + 1e-6)), r"case_01\.npz holds .*look like logits"),
    "half written": (lambda f: (f / "stored" / "case_01.npz").write_bytes(b"PK\3\4"), "it is cut short"),
    "case without label": (lambda f: (f / "labels" / "case_00.nii.gz").unlink(), r"1 cases have no label \(case_00\)"),
    "case without image": (lambda f: (f / "images" / "case_00.nii.gz").unlink(), r"no image \(case_00\)"),
    "case without file": (lambda f: (f / "stored" / "case_00.npz").unlink(), r"no probabilities \(case_00\)"),
    "trained on": (
        lambda f: (f / "stored" / "splits_final.json").write_text(
            json.dumps([{"train": [f"case_0{n}" for n in range(3)], "val": []}])
        ),
        "may have trained on them",
    ),
    "regions": (
        lambda f: (f / "dataset.json").write_text(
            json.dumps({"channel_names": {"0": "T1"}, "labels": {"background": 0, "whole": [1, 2], "back": 2}})
        ),
        "the labels whole are regions",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_together_ends_fit_before_anything_is_written(tmp_path, kind):
    spoil, message = WRONG[kind]
    for number in range(3):
        write_case(tmp_path, f"case_0{number}", number)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        fit(tmp_path / "images", tmp_path / "labels", tmp_path / "stored", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_apply_takes_one_source_and_a_model(tmp_path):
    with pytest.raises(ValueError, match="name one source: .* got none"):
        apply(images=tmp_path, model=tmp_path, output=tmp_path / "out")
    with pytest.raises(ValueError, match="got probabilities, bundle"):
        apply(images=tmp_path, model=tmp_path, output=tmp_path / "out", probabilities="a", bundle="b")
    with pytest.raises(ValueError, match="folds must be numbers of nnU-Net's folds .* got 'all': without it all are"):
        apply(images=tmp_path, model=tmp_path, output=tmp_path / "out", nnunet="a", folds="all")
    with pytest.raises(FileNotFoundError, match="is no model"):
        model_configs(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probabilities": "a", "folds": 1}, "--folds goes with --nnunet, and has no meaning with --probabilities"),
        ({"bundle": "a", "folds": "0,1"}, "--folds goes with --nnunet, and has no meaning with --bundle"),
        ({"nnunet": "a", "order": "cxyz"}, "--order goes with --probabilities, and has no meaning with --nnunet"),
        ({"probabilities": "a", "keep_probabilities": True}, "which are stored: leave it out"),
    ],
)
def test_apply_refuses_an_option_that_would_do_nothing(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        apply(images=tmp_path, model=tmp_path, output=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
