"""Data as people have them through bundle, training and inference: as released, as MetaImage, as DICOM."""

import json
import sys

import highdicom
import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow
from monai.data import MetaTensor
from monai.transforms import SaveImage

from dam_components.commands.planning import new_bundle
from dam_components.data.image_files import read_volume
from tests.checks.dicom import write_series


@pytest.fixture
def segment(tmp_path, monkeypatch):
    """Plans, trains tiny networks for an epoch at a coarse spacing, and segments one image: the folder of its files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(kind, bundle, *names, **entries):
        files = [str(bundle / "configs" / name) for name in names]
        workflow = ConfigWorkflow(
            files, workflow_type=kind, logging_file=False, bundle_root=str(bundle), output_dir="output", **entries
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()

    def through(data, image, coarser=1, **options):
        bundle = tmp_path / "bundle"
        new_bundle(str(data), str(bundle), **options)
        plan = json.loads((bundle / "configs" / "train.json").read_text())
        small = {"channels": [4] * len(plan["channels"]), "patch_size": [24, 24, 16], "patches_per_case": 1}
        small["spacing"] = [coarser * step for step in plan["spacing"]]
        run("train", bundle, "train.json", **small, ckpt_dir="models", epochs=1, val_interval=1, batch_size=1)
        weights = {"weights": "models/model.pt", "confidence_weights": "models/model_confidence.pt"}
        run("infer", bundle, "inference.json", **small, **weights, dataset_dir=str(image))
        (report,) = (tmp_path / "output").glob("*/*_report.json")
        return report.parent

    return through


def on_grid_of(image, folder):
    """The segmentation, which must lie as the image does."""
    volume, (file,) = read_volume(image), folder.glob("*_seg.nii.gz")
    written = nib.load(file)
    assert written.shape == volume.shape[1:]
    np.testing.assert_allclose(written.affine, np.asarray(volume.affine), atol=1e-3)
    return np.asarray(written.dataobj)


def test_ibsr18_as_released(segment, real_data, tmp_path):
    for case in ("IBSR_07", "IBSR_16"):  # two cases: none is left to validate, which takes the most time
        (tmp_path / "data" / case).parent.mkdir(exist_ok=True)
        (tmp_path / "data" / case).symlink_to(real_data / "IBSR18" / case)
    image = real_data / "IBSR18" / "IBSR_07" / "IBSR_07.nii.gz"
    on_grid_of(image, segment(tmp_path / "data", image.parent, coarser=3))
    assert json.loads((tmp_path / "bundle" / "configs" / "train.json").read_text())["crop_nonzero"]


def test_ct_example_as_released_one_case_of_many_structures(segment, real_data, tmp_path, capsys):
    folder = real_data / "CT_example"
    on_grid_of(folder / "example_ct_sm.nii.gz", segment(folder, folder, coarser=3, label_values="all", modality="CT"))
    shown = capsys.readouterr().out
    assert "has 1 complete case: all train, and none is left to validate or to test" in shown
    plan = json.loads((tmp_path / "bundle" / "configs" / "train.json").read_text())
    assert plan["folds"] == {"fold": 0, "folds": 1, "validation": 0, "seed": 0}
    values = np.unique(np.asarray(nib.load(folder / "example_seg.nii.gz").dataobj))
    assert len(plan["label_names"]) == len(values) - 1


def test_promise12_as_metaimage(segment, real_data, tmp_path):
    cases = json.loads((real_data / "PROMISE12" / "dataset.json").read_text())["training"]
    cases.sort(key=lambda case: (real_data / "PROMISE12" / case["image"]).stat().st_size)
    for case in cases[:3]:
        name = case["image"].split("/")[-1].split(".")[0]
        for key in ("image", "label"):
            write = SaveImage(
                tmp_path / f"{key}s", "", ".mhd", separate_folder=False, writer="ITKWriter", print_log=False
            )
            volume = read_volume(real_data / "PROMISE12" / case[key])
            write(MetaTensor(volume, meta={**volume.meta, "filename_or_obj": name}))
    image = tmp_path / "images" / f"{name}.mhd"
    on_grid_of(image, segment(tmp_path, image, coarser=2))


def test_dicom_series(segment, tmp_path):
    for number in range(3):
        voxels = np.random.default_rng(number).integers(-100, 100, (24, 28, 10)).astype(np.int16)
        label = np.zeros(voxels.shape, np.uint8)
        label[6:16, 8:18, 2:8] = 1
        series = write_series(tmp_path / "images" / f"p{number}", voxels + 150 * label, uid=f"1.2.{number + 3}")
        (tmp_path / "labels").mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(label, np.asarray(read_volume(series).affine)), tmp_path / f"labels/p{number}.nii.gz")
    folder = segment(tmp_path, series, modality="CT", label_names={1: "gland"})
    classes = on_grid_of(series, folder)
    assert 0 < classes.sum() < classes.size
    found = highdicom.seg.segread(folder / "p2_seg.dcm")
    assert found.SeriesInstanceUID != "1.2.5"
    assert {item.SeriesInstanceUID for item in found.ReferencedSeriesSequence} == {"1.2.5"}
    volume = found.get_volume(combine_segments=True)
    lps = np.diag([-1.0, -1, 1, 1]) @ np.asarray(read_volume(series).affine)
    # where the image has each voxel of the DICOM SEG
    places = np.stack([*np.indices(volume.array.shape), np.ones(volume.array.shape)], -1) @ volume.affine.T
    i, j, k, _ = (places @ np.linalg.inv(lps).T).round().astype(int).reshape(-1, 4).T
    np.testing.assert_array_equal(volume.array.ravel(), classes[i, j, k])
