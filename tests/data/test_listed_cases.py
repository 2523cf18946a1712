"""A dataset.json lists the cases of any layout: names, several images, a file a structure."""

from __future__ import annotations

import json

import pytest

from dam_components.data import decathlon_split
from dam_components.data.dataset_layouts import read_dataset
from dam_components.data.finding import summary_lines

STRUCTURES = ("Brainstem", "Parotid_L", "Parotid_R")


@pytest.fixture
def folders(tmp_path):
    """Five cases, each a folder whose files have the same names: T1 and FLAIR in ``pre``, and ``segm``."""
    entries = []
    for number in range(1, 6):
        files = [f"{number}/pre/T1.nii.gz", f"{number}/pre/FLAIR.nii.gz", f"{number}/segm.nii.gz"]
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        entries.append({"case": str(number), "image": files[:2], "label": files[2]})
    return tmp_path, entries


@pytest.fixture
def structures(tmp_path):
    """Three cases with a file for each structure beside the image."""
    entries = []
    for name in ("case_01", "case_02", "case_03"):
        files = {structure: f"{name}/{name}_OAR_{structure}.seg.nrrd" for structure in STRUCTURES}
        for file in (f"{name}/{name}_CT.nrrd", *files.values()):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()
        entries.append({"image": f"{name}/{name}_CT.nrrd", "label": files})
    return tmp_path, entries


def listed(folder, entries, **more):
    (folder / "dataset.json").write_text(json.dumps({"training": entries, **more}))
    return read_dataset(folder)


def test_cases_have_the_names_that_the_list_gives_them_in_the_folds_too(folders):
    folder, entries = folders
    dataset = listed(folder, entries)
    assert ([case.name for case in dataset.cases], dataset.findings) == ([*"12345"], [])
    assert dataset.cases[0].images == (folder / "1/pre/T1.nii.gz", folder / "1/pre/FLAIR.nii.gz")
    tested = [case["case"] for fold in range(5) for case in decathlon_split(folder, "test", fold=fold, validation=0)]
    assert sorted(tested) == [*"12345"]


def test_files_of_one_name_want_names_of_their_cases(folders):
    folder, entries = folders
    dataset = listed(folder, [{key: entry[key] for key in ("image", "label")} for entry in entries])
    assert [case.name for case in dataset.cases] == ["segm"]
    line = summary_lines(dataset.findings)[0]
    assert "makes a second case named segm" in line
    assert 'give each entry its "case" in dataset.json' in line


def test_a_file_a_structure(structures):
    folder, entries = structures
    dataset = listed(folder, entries)
    assert dataset.label_names == {1: "Brainstem", 2: "Parotid_L", 3: "Parotid_R"}
    assert dataset.writes_labels
    assert dataset.cases[1].name == "case_02_CT"
    assert dict(dataset.cases[1].structures)["Parotid_R"] == folder / "case_02/case_02_OAR_Parotid_R.seg.nrrd"
    assert dataset.findings == []


def test_labels_choose_among_the_structures_and_what_lacks_is_told(structures):
    folder, entries = structures
    del entries[2]["label"]["Brainstem"]
    dataset = listed(folder, entries, labels={"0": "background", "1": "Parotid_R", "2": "Brainstem", "3": "Chiasm"})
    lines = summary_lines(dataset.findings)
    assert any("names Chiasm, of which no case has a file: correct the names" in line for line in lines)
    assert any("does not name Parotid_L among its labels: it counts as background" in line for line in lines)
    assert any("case_03 has no Brainstem: it counts as absent from the case" in line for line in lines)
    assert len(lines) == 3


def test_a_structure_without_a_file_is_an_error(structures):
    folder, entries = structures
    file = folder / "case_01/case_01_OAR_Brainstem.seg.nrrd"
    file.unlink()
    dataset = listed(folder, entries)
    assert f"error: {file} does not exist: fetch it, or take the case case_01_CT out" in summary_lines(dataset.findings)
    assert len(dataset.cases) == 2


def test_folds_want_one_label_a_case(structures):
    folder, entries = structures
    listed(folder, entries)
    with pytest.raises(ValueError, match="a file for each structure, which dam new_bundle makes one of"):
        decathlon_split(folder, "train", folds=3)
