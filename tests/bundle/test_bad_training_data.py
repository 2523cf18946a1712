"""What is wrong with a training case ends the training with one line that names the file."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from dam_components.data import decathlon_split

IMAGE, LABEL = "imagesTr/{}.nii.gz", "labelsTr/{}.nii.gz"


def rewrite(file, change):
    nifti = nib.load(file)
    array = change(np.asarray(nifti.dataobj))
    nib.save(nib.Nifti1Image(array, nifti.affine), file)


def cut_short(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def with_value(index, value, kind):
    def change(array):
        array = array.astype(kind)
        array[index] = value
        return array

    return change


BAD = {
    "label beyond the classes": (
        LABEL,
        lambda file: rewrite(file, with_value((1, 2, 3), 7, np.uint8)),
        "holds the label 7; labels must be whole numbers in 0..3",
    ),
    "negative label": (
        LABEL,
        lambda file: rewrite(file, with_value((1, 2, 3), -1, np.int16)),
        "holds the label -1; labels must be whole numbers in 0..3",
    ),
    "NaN label": (
        LABEL,
        lambda file: rewrite(file, with_value((1, 2, 3), np.nan, np.float32)),
        "holds the label nan; labels must be whole numbers in 0..3",
    ),
    "label of another shape": (
        LABEL,
        lambda file: rewrite(file, lambda array: array[:, :30]),
        r"has shape (32, 30, 16), its image",
    ),
    "truncated image": (IMAGE, cut_short, "cut short; fetch it again"),
    "truncated label": (LABEL, cut_short, "cut short; fetch it again"),
    "empty image": (IMAGE, lambda file: file.write_bytes(b""), "it is cut short or no image: fetch it again"),
    "NaN in the image": (
        IMAGE,
        lambda file: rewrite(file, with_value((1, 2, 3), np.nan, np.float32)),
        "holds NaN or infinite voxels",
    ),
    "infinity in the image": (
        IMAGE,
        lambda file: rewrite(file, with_value((1, 2, 3), np.inf, np.float32)),
        "holds NaN or infinite voxels",
    ),
    "two channels": (
        IMAGE,
        lambda file: rewrite(file, lambda array: np.stack([array, array], -1)),
        "has 2 channels, the configuration expects 1 (image_channels)",
    ),
}


@pytest.fixture
def folders(tmp_path):
    return {"ckpt_dir": str(tmp_path / "models"), "output_dir": str(tmp_path / "output")}


@pytest.mark.parametrize(("place", "spoil", "expected"), BAD.values(), ids=BAD)
def test_a_bad_case_is_named(error_of, patients, tiny, folders, tmp_path, place, spoil, expected):
    data = tmp_path / "patients"
    shutil.copytree(patients, data)
    case = decathlon_split(data, "train", fold=0, folds=5, validation=1, seed=0)[1]["case"]
    file = data / place.format(case)
    spoil(file)
    message = error_of("train.json", "tasks/pelvic.json", **tiny, **folders, dataset_dir=str(data), epochs=1)
    assert str(file) in message
    assert expected in message
    assert not list((tmp_path / "models").rglob("*.pt"))  # nothing is trained on the rest


def test_a_folder_without_cases_says_how_to_get_some(error_of, tiny, folders, tmp_path):
    message = error_of("train.json", "tasks/pelvic.json", **tiny, **folders, dataset_dir=str(tmp_path))
    assert f"no dataset.json in {tmp_path}" in message
    assert "--dataset_dir" in message
    assert "DAM_DATA" in message
    assert "DecathlonDataset" in message


def test_the_default_data_are_looked_for_where_dam_data_says(error_of, folders, tmp_path, monkeypatch):
    monkeypatch.setenv("DAM_DATA", str(tmp_path / "elsewhere"))
    for overlay, name in (("hippocampus", "Task04_Hippocampus"), ("promise12", "PROMISE12"), ("pelvic", "Pelvic")):
        message = error_of("train.json", f"tasks/{overlay}.json", **folders)
        assert f"no dataset.json in {tmp_path / 'elsewhere' / name}" in message


def test_a_patch_larger_than_the_image_is_padded(run_here, patients, tiny, folders, tmp_path):
    large = {**tiny, "patch_size": [40, 32, 24]}
    run_here("train.json", "tasks/pelvic.json", **large, **folders, dataset_dir=str(patients), epochs=1)
    assert (tmp_path / "models" / "model.pt").is_file()


def test_weights_of_another_architecture_are_refused_by_the_evaluation(error_of, trained, folders):
    given = {**trained.overrides, **folders, **trained.weights, "channels": [8, 8, 8, 8]}
    message = error_of("train.json", "evaluate.json", "tasks/pelvic.json", **given)
    assert "holds weights of another architecture" in message
    assert "use the configuration that the file was trained with" in message


def test_missing_weights_say_so(error_of, trained, folders, tmp_path):
    given = {**trained.overrides, **folders, "weights": str(tmp_path / "none.pt")}
    message = error_of("train.json", "evaluate.json", "tasks/pelvic.json", **given)
    assert f"no weights at {tmp_path / 'none.pt'}; train first" in message


def test_a_person_sees_one_line_and_a_nonzero_status(start, patients, tiny, folders, tmp_path):
    data = tmp_path / "patients"
    shutil.copytree(patients, data)
    for file in (data / "labelsTr").iterdir():
        rewrite(file, with_value((0, 0, 0), 9, np.uint8))
    process = start(tmp_path, "train.json", "tasks/pelvic.json", **tiny, **folders, dataset_dir=data, epochs=1)
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == 1, stderr
    assert [line for line in stderr.splitlines() if line.startswith("error: ") and "holds the label 9" in line]
    assert "Traceback" not in stderr
