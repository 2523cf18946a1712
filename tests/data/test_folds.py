import json
import os
from pathlib import Path

import pytest

from dam_components.data import decathlon_split, make_folds, read_folds, write_folds

NAMES = [f"case{index:02d}" for index in range(50)]


def _sizes(fold):
    return [len(fold[section]) for section in ("train", "validation", "test")]


def _write_dataset(folder: Path, names: list[str], **files) -> Path:
    """A decathlon layout of empty files."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / f"{name}.nii.gz").touch()
    entries = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]
    (folder / "dataset.json").write_text(json.dumps({"training": entries, **files}))
    return folder


@pytest.fixture
def dataset(tmp_path):
    return _write_dataset(tmp_path / "data", NAMES[:10])


def test_every_case_is_tested_once_and_in_one_section():
    folds = make_folds(NAMES, folds=5, validation=5, seed=0)
    assert [_sizes(fold) for fold in folds] == [[35, 5, 10]] * 5  # the paper's pelvic protocol
    assert sorted(name for fold in folds for name in fold["test"]) == NAMES
    for fold in folds:
        assert sorted(fold["train"] + fold["validation"] + fold["test"]) == NAMES
        assert all(fold[section] == sorted(fold[section]) for section in ("train", "validation", "test"))


def test_two_fold_and_leave_one_out():
    assert [_sizes(fold) for fold in make_folds(NAMES, folds=2, validation=0, seed=0)] == [[25, 0, 25]] * 2
    assert [_sizes(fold) for fold in make_folds(NAMES[:6], folds=6, validation=1, seed=0)] == [[4, 1, 1]] * 6


def test_the_cases_of_a_patient_are_in_one_section():
    """Else a network would be judged, or D taught, on a patient it learned from."""
    owner = {name: f"patient{index // 2}" for index, name in enumerate(NAMES[:20])}  # ten of two, thirty of one
    folds = make_folds(NAMES, 5, 5, 0, owner)
    assert sorted(name for fold in folds for name in fold["test"]) == NAMES
    for fold in folds:
        assert sum(_sizes(fold)) == 50
        assert 3 <= len(fold["validation"]) <= 8  # of 40 patients four
        for section in ("train", "validation", "test"):
            others = {owner.get(name, name) for part in fold if part != section for name in fold[part]}
            assert not others & {owner.get(name, name) for name in fold[section]}
    assert make_folds(NAMES, 5, 5, 0, {name: name for name in NAMES}) == make_folds(NAMES, 5, 5, 0)


def test_patients_limit_the_folds():
    owner = dict.fromkeys(NAMES[:10], "one")
    with pytest.raises(ValueError, match="from 1 to the number of patients, 3, got 5"):
        make_folds(NAMES[:12], 5, 1, 0, owner)
    with pytest.raises(ValueError, match="3 folds of 3 patients allow at most 1 of them to validate"):
        make_folds(NAMES[:12], 3, 8, 0, owner)


def test_a_lists_patients_are_kept_together(tmp_path):
    folder = _write_dataset(tmp_path / "data", NAMES[:12])
    index = json.loads((folder / "dataset.json").read_text())
    for number, entry in enumerate(index["training"]):
        entry["patient"] = f"p{number // 3}"
    (folder / "dataset.json").write_text(json.dumps(index))
    for fold in range(4):
        parts = [decathlon_split(folder, section, fold, 4, 3) for section in ("train", "validation", "test")]
        owners = [{int(case["case"][-2:]) // 3 for case in part} for part in parts]
        assert [len(owner) for owner in owners] == [2, 1, 1]
        assert set.union(*owners) == set(range(4))
        assert all(case["patient"] == f"p{int(case['case'][-2:]) // 3}" for part in parts for case in part)
    crossed = decathlon_split(folder, "all", parts=4)
    assert len({(int(case["case"][-2:]) // 3, case["part"]) for case in crossed}) == 4
    with pytest.raises(ValueError, match="from 1 to the number of patients, 4, got 5"):
        decathlon_split(folder, "all", parts=5)


def test_validation_is_a_count_or_a_share_of_all_cases():
    assert make_folds(NAMES, 5, 0.1, 0) == make_folds(NAMES, 5, 5, 0)
    assert _sizes(make_folds(NAMES, 5, 0.0, 0)[0]) == [40, 0, 10]


def test_folds_depend_on_the_seed_and_not_on_the_order():
    assert make_folds(NAMES, 5, 5, 0) == make_folds(NAMES[::-1], 5, 5, 0)
    first, second = make_folds(NAMES, 5, 5, 0), make_folds(NAMES, 5, 5, 1)
    assert first[0]["test"] != second[0]["test"]


def test_validation_is_drawn_by_seed_and_fold():
    def place(fold):
        """Of the validation case of a leave-one-out fold, among the cases not tested."""
        return sorted(fold["train"] + fold["validation"]).index(fold["validation"][0])

    # 50 draws of 49 places hit 49 (1 - exp(-50/49)) = 31 different ones on average
    assert len({place(fold) for fold in make_folds(NAMES, 50, 1, seed=0)}) > 20
    assert len({place(make_folds(NAMES, 50, 1, seed)[0]) for seed in range(50)}) > 20


@pytest.mark.parametrize("folds", [0, -1, 51, 2.0, True])
def test_folds_out_of_range(folds):
    with pytest.raises(ValueError, match="folds must be an integer from 1 to the number of cases, 50, got"):
        make_folds(NAMES, folds, 5, 0)


def test_one_fold_tests_nothing():
    assert make_folds(["a"], 1, 0, seed=0) == [{"train": ["a"], "validation": [], "test": []}]
    assert _sizes(make_folds(NAMES, 1, 5, seed=0)[0]) == [45, 5, 0]


@pytest.mark.parametrize("validation", [-1, 1.0, -0.1, True, "5", None])
def test_validation_out_of_range(validation):
    with pytest.raises(ValueError, match=r"count \(integer\) or a share \(float\) in \[0, 1\) of cases, got"):
        make_folds(NAMES, 5, validation, 0)


def test_validation_that_leaves_nothing_to_train_on():
    # 8 cases in 5 folds: the largest test set has 2, one case trains, so at most 5 validate
    assert _sizes(make_folds(NAMES[:8], 5, 5, 0)[0]) == [1, 5, 2]
    with pytest.raises(ValueError, match="validation=6 leaves no case to train on: 5 folds of 8 cases allow at most 5"):
        make_folds(NAMES[:8], 5, 6, 0)


def test_a_name_twice():
    with pytest.raises(ValueError, match="cases must have distinct case names, got twice: case00"):
        make_folds([*NAMES, "case00"], 5, 5, 0)


def test_fold_file_round_trip(tmp_path):
    file = tmp_path / "new" / "folds.json"
    written = write_folds(file, NAMES[::-1], folds=4, validation=0.2, seed=3)
    assert written == make_folds(NAMES, 4, 0.2, 3) == read_folds(file, NAMES)
    content = json.loads(file.read_text())
    assert {key: content[key] for key in ("seed", "folds", "validation", "cases")} == {
        "seed": 3,
        "folds": 4,
        "validation": 0.2,
        "cases": NAMES,
    }
    assert [*file.parent.iterdir()] == [file]


def test_fold_file_of_other_data(tmp_path):
    file = tmp_path / "folds.json"
    write_folds(file, NAMES[:10], folds=5, validation=2)
    with pytest.raises(
        ValueError, match=r"fold file .*folds.json names cases that the data lacks: case08, case09; make it anew with "
    ):
        read_folds(file, NAMES[:8])
    with pytest.raises(ValueError, match="lacks cases that the data has: case10, case11, .* and 35 more; make it anew"):
        read_folds(file, NAMES)


def test_fold_file_with_a_leak(tmp_path):
    file = tmp_path / "folds.json"
    write_folds(file, NAMES[:10], folds=5, validation=2)
    content = json.loads(file.read_text())
    leaked = content["splits"][1]["test"][0]
    content["splits"][1]["train"].append(leaked)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"has cases twice in fold 1: {leaked}; make it anew"):
        read_folds(file, NAMES[:10])


@pytest.mark.parametrize("content", ["", "[]", '{"splits": []}', '{"splits": [{"train": []}]}', '{"splits": 3}'])
def test_damaged_fold_file(tmp_path, content):
    file = tmp_path / "folds.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"fold file .*folds.json is damaged or no fold file .*; make it anew with "):
        read_folds(file, NAMES)


def test_missing_fold_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="fold file .*none.json does not exist; make it anew with"):
        read_folds(tmp_path / "none.json", NAMES)


def test_hippocampus_fold(tmp_path):
    # the real set where DAM_DATA has it; without it a stand-in of as many cases, since the sizes depend on no more
    root = Path(os.environ.get("DAM_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
    folder = root / "Task04_Hippocampus"
    if not folder.is_dir():
        folder = _write_dataset(tmp_path / "stand-in", [f"hippocampus_{index:03d}" for index in range(208)])
    train, validation, test = (decathlon_split(folder, section) for section in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (146, 20, 42)
    assert [len(decathlon_split(folder, "test", fold)) for fold in range(5)] == [42, 42, 42, 41, 41]
    everything = decathlon_split(folder, "all")
    assert len(everything) == 208
    assert sorted(case["case"] for case in train + validation + test) == [case["case"] for case in everything]
    for case in everything:
        assert os.path.isabs(case["image"])
        assert Path(case["image"]).name == f"{case['case']}.nii.gz"
        assert os.path.isabs(case["label"])
        assert "labelsTr" in case["label"]


def test_split_follows_make_folds(dataset, monkeypatch):
    expected = make_folds(NAMES[:10], folds=3, validation=2, seed=4)
    for fold in range(3):
        for section in ("train", "validation", "test"):
            cases = decathlon_split(dataset, section, fold=fold, folds=3, validation=2, seed=4)
            assert [case["case"] for case in cases] == expected[fold][section]
    monkeypatch.chdir(dataset.parent)
    relative = decathlon_split("data", "test", folds=3, validation=2, seed=4)
    assert relative == decathlon_split(dataset, "test", folds=3, validation=2, seed=4)


def test_split_from_a_fold_file(dataset, tmp_path):
    file = tmp_path / "folds.json"
    folds = write_folds(file, NAMES[:10], folds=10, validation=3, seed=9)
    cases = decathlon_split(dataset, "validation", fold=9, folds_file=file)
    assert [case["case"] for case in cases] == folds[9]["validation"]
    write_folds(file, NAMES[:11], folds=2, validation=3)
    with pytest.raises(ValueError, match="names cases that the data lacks: case10; make it anew"):
        decathlon_split(dataset, "train", folds_file=file)


def test_several_images_a_case(dataset):
    entry = {"image": ["imagesTr/case00.nii.gz", "imagesTr/case01.nii.gz"], "label": "labelsTr/case07.nii.gz"}
    (dataset / "dataset.json").write_text(json.dumps({"training": [entry]}))
    (case,) = decathlon_split(dataset, "all")
    assert case["case"] == "case07"
    assert case["image"] == [str(dataset / "imagesTr" / f"case0{index}.nii.gz") for index in (0, 1)]


def test_section_and_fold_out_of_range(dataset):
    with pytest.raises(ValueError, match="section must be one of train, validation, test or all, got 'training'"):
        decathlon_split(dataset, "training")
    for fold in (-1, 5):
        with pytest.raises(ValueError, match=f"fold must be from 0 to 4, got {fold}: there are 5 folds"):
            decathlon_split(dataset, "test", fold=fold, validation=2)


@pytest.mark.parametrize("folder", ["none", "."])
def test_missing_data_says_how_to_get_it(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="no dataset.json in .*") as caught:
        decathlon_split(tmp_path / folder, "train")
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in ("--dataset_dir", "DAM_DATA", "DecathlonDataset", "Task04_Hippocampus"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "dataset.json must list image and label of each case under 'training'"),
        ("[]", "dataset.json must list image and label of each case under 'training'"),
        ('{"training": ["a.nii.gz"]}', "dataset.json must list image and label of each case under 'training'"),
        ('{"training": [{"image": "a.nii.gz"}]}', "but reading it ended with KeyError"),
        ('{"test": []}', "dataset.json must list image and label of each case under 'training'"),
        ('{"training": []}', "dataset.json lists no case under 'training'"),
    ],
)
def test_damaged_dataset_json(tmp_path, content, message):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        decathlon_split(tmp_path, "train")


def test_missing_files_are_named(dataset):
    (dataset / "labelsTr" / "case03.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match="dataset.json names files that don't exist: .*labelsTr/case03.nii.gz"):
        decathlon_split(dataset, "train", validation=2)


def test_two_cases_of_one_name(dataset):
    entry = {"image": "imagesTr/case00.nii.gz", "label": "labelsTr/case00.nii.gz"}
    (dataset / "dataset.json").write_text(json.dumps({"training": [entry, entry]}))
    with pytest.raises(ValueError, match="dataset.json must have distinct case names, got twice: case00"):
        decathlon_split(dataset, "all")


def test_parts_share_the_section_out_and_one_can_be_left_out(dataset):
    train = decathlon_split(dataset, "train", validation=2)  # 6 of 10
    marked = decathlon_split(dataset, "train", validation=2, parts=3)
    assert [case["case"] for case in marked] == [case["case"] for case in train]
    assert sorted(case["part"] for case in marked) == [0, 0, 1, 1, 2, 2]
    for part in range(3):
        kept = decathlon_split(dataset, "train", validation=2, parts=3, leave_out=part)
        assert kept == [case for case in marked if case["part"] != part]
    assert all("part" not in case for case in train)
    assert marked == decathlon_split(dataset, "train", validation=2, parts=3), "drawn by the seed"


@pytest.mark.parametrize(
    ("parts", "leave_out", "message"),
    [
        (7, None, "parts must be an integer from 1 to the number of cases, 6, got 7"),
        (0, None, "parts must be an integer from 1"),
        (1, 0, "leave_out must be None or one of 1 parts, counted from 0, got 0"),
        (3, 3, "leave_out must be None or one of 3 parts, counted from 0, got 3"),
    ],
)
def test_parts_out_of_range(dataset, parts, leave_out, message):
    with pytest.raises(ValueError, match=message):
        decathlon_split(dataset, "train", validation=2, parts=parts, leave_out=leave_out)
