"""Which probabilities belong to which case, and whether S trained on it."""

import json
from pathlib import Path

import pytest

from dam_components.data.probability_cases import (
    find_probabilities,
    images_by_case,
    labels_by_case,
    list_stored_cases,
    match_cases,
    nnunet_folder,
    stored_training_cases,
)


def touch(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


@pytest.fixture
def results(tmp_path):
    """As nnU-Net leaves it: a training with two folds."""
    training = tmp_path / "Dataset004_X" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold, names in ((0, "ab"), (1, "cd")):
        held = training / f"fold_{fold}" / "validation"
        touch(*(held / f"{name}{end}" for name in names for end in (".npz", ".pkl", ".nii.gz")), held / "summary.json")
    touch(training / "dataset.json", training / "plans.json")
    return training


def splits(folder, *folds):
    file = folder / "splits_final.json"
    file.write_text(json.dumps([{"train": list(train), "val": list(held)} for train, held in folds]))
    return file


def test_folds_are_found_in_a_results_folder(results):
    found = find_probabilities(results)
    assert {name: entry.fold for name, entry in found.items()} == {"a": 0, "b": 0, "c": 1, "d": 1}
    assert found["c"].file == results / "fold_1" / "validation" / "c.npz"


def test_the_dataset_folder_above_is_understood_unless_it_holds_two_trainings(results):
    assert nnunet_folder(results.parent) == results
    touch(results.parent / "nnUNetTrainer__nnUNetPlans__2d" / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ValueError, match="several trainings .*2d.*3d_fullres.*name one"):
        nnunet_folder(results.parent)


def test_own_folds_may_hold_the_files_themselves(tmp_path):
    touch(tmp_path / "fold_0" / "a.npy", tmp_path / "fold_3" / "b.npy")
    assert {name: entry.fold for name, entry in find_probabilities(tmp_path).items()} == {"a": 0, "b": 3}


@pytest.mark.parametrize("place", ["option", "results", "environment"])
def test_a_case_that_its_fold_trained_on_is_refused_unless_one_insists(results, tmp_path, monkeypatch, place):
    wrong = [("bcd", "a"), ("ab", "cd")]  # fold 0 trained on b
    given = None
    if place == "option":
        given = splits(tmp_path, *wrong)
    elif place == "results":
        splits(results, *wrong)
    else:
        folder = tmp_path / "preprocessed" / "Dataset004_X"
        folder.mkdir(parents=True)
        splits(folder, *wrong)
        monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    with pytest.raises(ValueError, match=r"1 cases are not of their fold's validation .*\(b\).*--in_sample"):
        find_probabilities(results, given)
    assert sorted(find_probabilities(results, given, in_sample=True)) == ["a", "b", "c", "d"]


def test_splits_give_the_folds_of_a_plain_folder(tmp_path):
    touch(tmp_path / "a.npz", tmp_path / "b.npz")
    file = splits(tmp_path, ("b", "a"), ("a", "b"))
    assert {name: entry.fold for name, entry in find_probabilities(tmp_path, file).items()} == {"a": 0, "b": 1}


def test_a_training_on_all_cases_is_refused_unless_one_insists(results):
    touch(results / "fold_all" / "validation" / "e.npz")
    with pytest.raises(ValueError, match="fold_all trained on all cases"):
        find_probabilities(results)
    assert find_probabilities(results, in_sample=True)["e"].fold is None


def test_what_nnunetv2_predict_wrote_is_refused_unless_one_insists(tmp_path):
    touch(tmp_path / "a.npz", tmp_path / "predict_from_raw_data_args.json")
    with pytest.raises(ValueError, match="written by nnUNetv2_predict.*--in_sample"):
        find_probabilities(tmp_path)
    assert list(find_probabilities(tmp_path, in_sample=True)) == ["a"]


def test_a_fold_without_probabilities_says_how_to_get_them(results):
    for file in (results / "fold_1" / "validation").glob("*.npz"):
        file.unlink()  # trained without --npz: the segmentations are there
    with pytest.raises(FileNotFoundError, match="nnUNetv2_train DATASET CONFIGURATION 1 --val --npz"):
        find_probabilities(results)


def test_a_case_in_two_folds_is_refused(results):
    touch(results / "fold_1" / "validation" / "a.npz")
    with pytest.raises(ValueError, match="of the same case: keep one"):
        find_probabilities(results)


@pytest.mark.parametrize("lacking", ["image", "label", "probabilities"])
def test_a_case_that_lacks_something_is_named(lacking):
    kinds = {"image": dict.fromkeys("ab"), "label": dict.fromkeys("ab"), "probabilities": dict.fromkeys("ab")}
    del kinds[lacking]["b"]
    with pytest.raises(ValueError, match=rf"1 cases have no {lacking} \(b\): .*--partial"):
        match_cases(*kinds.values())
    assert match_cases(*kinds.values(), partial=True) == ["a"]


def test_names_that_never_match_are_told():
    with pytest.raises(ValueError, match=r"name files as CASE\.\*"):
        match_cases({"a": 1}, {"b": 1}, {"c": 1}, partial=True)


def test_nnunets_channel_number_is_no_part_of_a_name(tmp_path):
    touch(*(tmp_path / f"case_{case}_000{channel}.nii.gz" for case in (1, 2) for channel in (0, 1)))
    assert list(images_by_case(tmp_path, 2)) == ["case_1", "case_2"]
    assert len(images_by_case(tmp_path, 2)["case_1"]) == 2


def test_an_inference_pairs_images_and_probabilities(tmp_path, caplog):
    touch(tmp_path / "images" / "a_0000.nii.gz", tmp_path / "images" / "b.nii.gz")
    touch(tmp_path / "stored" / "a.npz", tmp_path / "stored" / "b.npz", tmp_path / "stored" / "b.nii.gz")
    cases = list_stored_cases(tmp_path / "images", tmp_path / "stored")
    assert [case["probabilities"] for case in cases] == [str(tmp_path / "stored" / f"{name}.npz") for name in "ab"]
    touch(tmp_path / "stored" / "of_another_folder.npz")
    assert list_stored_cases(tmp_path / "images", tmp_path / "stored") == cases
    assert "left out 1 files" in caplog.text
    (tmp_path / "stored" / "a.npz").unlink()
    with pytest.raises(ValueError, match=r"1 cases have no probabilities \(a\)"):
        list_stored_cases(tmp_path / "images", tmp_path / "stored")
    with pytest.raises(ValueError, match="--probabilities_dir"):
        list_stored_cases(tmp_path / "images", None)


def test_a_folder_a_case_names_the_cases(tmp_path):
    touch(*(tmp_path / "images" / case / "ct.nii.gz" for case in ("c1", "c2")))
    touch(*(tmp_path / "stored" / f"{case}.npz" for case in ("c1", "c2")))
    assert list(images_by_case(tmp_path / "images")) == ["c1", "c2"]
    cases = list_stored_cases(tmp_path / "images", tmp_path / "stored")
    assert [(case["case"], Path(case["image"]).parent.name) for case in cases] == [("c1", "c1"), ("c2", "c2")]


def test_endings_in_capitals_are_found(tmp_path):
    touch(tmp_path / "labels" / "a.NII.GZ", tmp_path / "stored" / "a.NII.GZ", tmp_path / "stored" / "b.nii")
    assert list(labels_by_case(tmp_path / "labels")) == ["a"]
    assert sorted(find_probabilities(tmp_path / "stored")) == ["a", "b"]


def test_an_inference_names_cases_as_their_probabilities_are_named(tmp_path):
    touch(*(tmp_path / "images" / name for name in ("IMG_0001.nii.gz", "IMG_0002.nii.gz")))
    touch(*(tmp_path / "folders" / case / "ct.nii.gz" for case in ("IMG_0001", "IMG_0002")))
    touch(*(tmp_path / "stored" / name for name in ("IMG_0001.npz", "IMG_0002.npz")))
    for images in ("images", "folders"):
        cases = list_stored_cases(tmp_path / images, tmp_path / "stored")
        assert [case["case"] for case in cases] == ["IMG_0001", "IMG_0002"]
        assert len({case["image"] for case in cases}) == 2


def test_parts_of_the_written_list(tmp_path):
    file = tmp_path / "stored_cases.json"
    paths = dict.fromkeys(("image", "label", "probabilities"), "x")
    cases = [{"case": name, "part": part, "fold": None, **paths} for name, part in (("a", 0), ("b", 1), ("c", 0))]
    file.write_text(json.dumps({"cases": cases}))
    assert [case["case"] for case in stored_training_cases(file, leave_out=0)] == ["b"]
    assert [case["case"] for case in stored_training_cases(file, only=0)] == ["a", "c"]
    with pytest.raises(ValueError, match="holds no case for"):
        stored_training_cases(file, only=5)
