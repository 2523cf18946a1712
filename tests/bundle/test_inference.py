"""Inference over a folder: names, spaces, values, and cases that cannot be read."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from dam_components.synthetic import synthesize_pelvic


@pytest.fixture
def infer(trained, run_here, tmp_path):
    """Segments the images of a folder and gives a function that opens what was written for a case."""
    keys = ("channels", "spacing", "patch_size")

    def run(folder, **overrides):
        overrides = {**{key: trained.overrides[key] for key in keys}, **trained.weights, **overrides}
        output = tmp_path / "written"
        run_here("inference.json", "tasks/pelvic.json", **overrides, dataset_dir=str(folder), output_dir=str(output))
        return lambda case, kind: nib.load(output / case / f"{case}_{kind}.nii.gz")

    return run


def save(folder, name, array, affine):
    folder.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), folder / name)


def opened(file):
    image = nib.load(file)
    return np.asarray(image.dataobj), image.affine


def test_files_lie_in_the_space_of_their_image(infer, patients, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(patients / "imagesTr", images)
    written = infer(images)
    assert sorted(f.relative_to(tmp_path / "written").as_posix() for f in (tmp_path / "written").glob("*/*")) == sorted(
        f"pelvic_{i:03d}/pelvic_{i:03d}_{kind}"
        for i in range(5)
        for kind in ("seg.nii.gz", "confidence.nii.gz", "report.json", "review.png")
    )
    image = nib.load(images / "pelvic_003.nii.gz")
    segmentation, confidence = written("pelvic_003", "seg"), written("pelvic_003", "confidence")
    for map_ in (segmentation, confidence):
        assert map_.shape == image.shape
        np.testing.assert_allclose(map_.affine, image.affine, atol=1e-5)
    assert segmentation.get_data_dtype() == np.uint8
    assert confidence.get_data_dtype() == np.uint8
    assert set(np.unique(segmentation.dataobj)) <= {0, 1, 2, 3}
    values = np.asarray(confidence.dataobj)
    assert 0 <= values.min() < values.max() <= 1


def test_an_image_stored_the_other_way_round_gets_the_same_segmentation(infer, patients, tmp_path):
    image = nib.load(patients / "imagesTr" / "pelvic_000.nii.gz")
    array = np.asarray(image.dataobj)
    lps = image.affine @ np.diag([-1.0, -1.0, 1.0, 1.0])  # the same voxels, x and y counted from the other end
    lps[:2, 3] = (image.affine @ [array.shape[0] - 1, array.shape[1] - 1, 0, 1])[:2]
    save(tmp_path / "images", "ras.nii.gz", array, image.affine)
    save(tmp_path / "images", "lps.nii.gz", array[::-1, ::-1], lps)
    assert nib.aff2axcodes(lps) == ("L", "P", "S")
    written = infer(tmp_path / "images")
    assert np.unique(written("ras", "seg").dataobj).size > 1
    for kind in ("seg", "confidence"):
        ras, other = (np.asarray(written(name, kind).dataobj) for name in ("ras", "lps"))
        np.testing.assert_allclose(other[::-1, ::-1], ras, atol=1e-5 if kind == "seg" else 1 / 250)
        np.testing.assert_allclose(written("lps", kind).affine, lps, atol=1e-5)


def test_an_lps_image_of_other_voxels_keeps_its_grid(infer, tmp_path):
    shape, spacing = (40, 28, 15), (4.0, 6.0, 7.0)  # 160 x 168 x 105 mm; the networks work at 5 x 5 x 6 mm
    array = synthesize_pelvic(7, shape, spacing)[0].astype(np.int16)
    affine = np.diag([-4.0, -6.0, 7.0, 1.0])
    affine[:3, 3] = (80, 84, -50)
    save(tmp_path / "images", "thick.nii.gz", array[::-1, ::-1], affine)
    written = infer(tmp_path / "images")
    for kind in ("seg", "confidence"):
        assert written("thick", kind).shape == shape
        np.testing.assert_allclose(written("thick", kind).affine, affine, atol=1e-4)
    confidence = np.asarray(written("thick", "confidence").dataobj)
    assert confidence.min() >= 0
    assert confidence.max() <= 1


def test_a_device_may_be_text(infer, patients, tmp_path):
    """As MONAI Label gives it, and --device on the command line."""
    save(tmp_path / "images", "one.nii.gz", *opened(patients / "imagesTr" / "pelvic_000.nii.gz"))
    assert infer(tmp_path / "images", device="cpu")("one", "confidence").shape == (32, 32, 16)


def test_a_patch_larger_than_the_image_is_padded(infer, patients, tmp_path):
    shutil.copytree(patients / "imagesTr", tmp_path / "images")
    written = infer(tmp_path / "images", patch_size=[48, 40, 24])
    assert written("pelvic_000", "seg").shape == (32, 32, 16)


def test_a_folder_in_decathlon_layout_is_read_by_its_index(infer, patients, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(patients, folder)
    index = json.loads((folder / "dataset.json").read_text())
    index["test"] = ["./imagesTr/pelvic_004.nii.gz"]
    (folder / "dataset.json").write_text(json.dumps(index))
    infer(folder)
    assert sorted(f.name for f in (tmp_path / "written").iterdir()) == ["index.html", "pelvic_004", "summary.csv"]


def test_bad_cases_are_left_out_listed_and_end_in_a_failure(infer, patients, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(patients / "imagesTr", images)
    good = nib.load(images / "pelvic_000.nii.gz")
    array = np.asarray(good.dataobj).astype(np.float32)
    holed = array.copy()
    holed[3, 4, 5] = np.nan
    save(images, "pelvic_001.nii.gz", holed, good.affine)
    cut = (images / "pelvic_002.nii.gz").read_bytes()
    (images / "pelvic_002.nii.gz").write_bytes(cut[: len(cut) // 2])
    save(images, "pelvic_003.nii.gz", np.stack([array, array], -1), good.affine)
    save(images, "pelvic_004.nii.gz", array[..., 0], good.affine)
    shutil.copy(patients / "imagesTr" / "pelvic_004.nii.gz", images / "pelvic_005.nii.gz")
    with pytest.raises(SystemExit, match="4 of 6 cases failed, the others are done") as ended:
        infer(images)
    listed = str(ended.value).splitlines()[1:]  # a message is status 1
    assert all(f"pelvic_00{i}.nii.gz" in line for i, line in enumerate(listed, start=1))
    assert "NaN" in listed[0]
    assert "cut short" in listed[1]
    assert "2 channels" in listed[2]
    assert "has 2 dimensions, the configuration expects 3" in listed[3]
    assert len(listed) == 4
    # the last one comes after them
    found = sorted(f.name for f in (tmp_path / "written").iterdir())
    assert found == ["index.html", "pelvic_000", "pelvic_005", "summary.csv"]


def test_a_run_with_a_bad_case_has_a_nonzero_status_and_no_traceback(start, trained, patients, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(patients / "imagesTr", images)
    (images / "pelvic_001.nii.gz").write_bytes(b"")
    process = start(
        tmp_path,
        "inference.json",
        "tasks/pelvic.json",
        **{key: trained.overrides[key] for key in ("channels", "spacing", "patch_size")},
        **trained.weights,
        dataset_dir=images,
        output_dir=tmp_path / "written",
    )
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == 1, stderr
    assert "error: 1 of 5 cases failed, the others are done:" in stderr
    assert "pelvic_001.nii.gz" in stderr
    assert "Traceback" not in stderr
    assert len(list((tmp_path / "written").glob("*/*_seg.nii.gz"))) == 4


def test_a_folder_without_images_is_refused(error_of, trained, tmp_path):
    (tmp_path / "empty").mkdir()
    message = error_of("inference.json", **trained.weights, dataset_dir=str(tmp_path / "empty"))
    assert f"{tmp_path / 'empty'} holds no image" in message
    message = error_of("inference.json", **trained.weights, dataset_dir=str(tmp_path / "absent"))
    assert f"there is no folder {tmp_path / 'absent'}" in message
    assert "--dataset_dir" in message


def test_weights_of_another_architecture_are_refused(error_of, trained, patients):
    given = {**{key: trained.overrides[key] for key in ("spacing", "patch_size", "channels")}, **trained.weights}
    given["dataset_dir"] = str(patients)
    message = error_of("inference.json", "tasks/pelvic.json", **{**given, "channels": [8, 8, 8, 8]})
    assert "holds weights of another architecture" in message
    assert "model.pt" in message
    of_s, of_d = given["weights"], given["confidence_weights"]
    for name, swapped in (("weights", of_d), ("confidence_weights", of_s)):
        message = error_of("inference.json", "tasks/pelvic.json", **{**given, name: swapped})
        assert f"{swapped} holds weights of another architecture" in message
