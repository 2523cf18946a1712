"""Which files are a case, in each of the three layouts, and what is said where files and list differ."""

import json
import re

import pytest

from dam_components.data.dataset_layouts import read_dataset


def lines(dataset):
    return [str(finding) for finding in dataset.findings]


@pytest.fixture
def nnunet(tmp_path):
    """Two cases of two channels; file_ending .mha."""
    index = {
        "channel_names": {"0": "CT", "1": "PET"},
        "labels": {"background": 0, "tumour": 2, "liver": 1},
        "numTraining": 2,
        "file_ending": ".mha",
    }
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    for case in ("a_1", "b"):
        (tmp_path / "labelsTr" / f"{case}.mha").touch()
        for channel in range(2):
            (tmp_path / "imagesTr" / f"{case}_{channel:04d}.mha").touch()
    (tmp_path / "dataset.json").write_text(json.dumps(index))
    return tmp_path


def test_the_decathlon(decathlon):
    dataset = read_dataset(decathlon)
    assert (dataset.layout, dataset.name, dataset.findings) == ("decathlon", "Tiny", [])
    assert dataset.channel_names == ["MRI"]
    assert dataset.label_names == {1: "block"}
    assert [case.name for case in dataset.cases] == ["case0", "case1", "case2", "case3"]
    assert dataset.cases[0].images == (decathlon / "imagesTr" / "case0.nii.gz",)
    assert dataset.cases[0].label == decathlon / "labelsTr" / "case0.nii.gz"


def test_a_case_of_several_images_is_named_after_its_label(decathlon, edit):
    images = ["imagesTr/case0.nii.gz", "imagesTr/case1.nii.gz"]
    edit(training=[{"image": images, "label": "labelsTr/case2.nii.gz"}], test=["imagesTr/case2.nii.gz"])
    dataset = read_dataset(decathlon)
    assert [case.name for case in dataset.cases] == ["case2"]
    assert len(dataset.cases[0].images) == 2
    # case2 is a test image; numTraining is 4 still
    assert [line.removeprefix(f"warning: {decathlon}/") for line in lines(dataset)] == [
        "imagesTr/case3.nii.gz is not in dataset.json: list it, or leave it out",
        "warning: dataset.json says numTraining 4, there are 1 cases: correct the number, or find the rest",
    ]


def test_every_fault_of_the_list_is_told(decathlon, edit):
    training = edit()["training"]
    (decathlon / "labelsTr" / "case1.nii.gz").unlink()
    (decathlon / "imagesTr" / "scan.dcm").touch()
    del training[2]["label"]
    edit(training=[*training, training[0], {"label": "x"}], numTraining=6)
    found = "\n".join(lines(read_dataset(decathlon)))
    for expected in (
        f"error: {decathlon}/labelsTr/case1.nii.gz does not exist: fetch it, or take the case case1 out",
        f"error: {decathlon}/imagesTr/case2.nii.gz has no label in dataset.json: add it, or take the case out of",
        f"error: {decathlon}/imagesTr/case0.nii.gz makes a second case named case0: give each entry its",
        "error: dataset.json, entry 5 of training names no image: add it, or take it out",
        f"warning: {decathlon}/imagesTr/scan.dcm is no image (.nii.gz, .nii, .img, .mhd, .mha, .nrrd) and is left out",
    ):
        assert expected in found
    assert found.count("error") == 4


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"0": "background", "1": "a", "3": "b"}, "numbers its labels 1, 3: number them 1..N without gaps"),
        ({"background": 0, "whole": [1, 2]}, r"gives the label whole the value \[1, 2\]: give each one number, 1..N"),
        ({"background": 0, "a": 1, "ignore": 2}, "has a label 'ignore': the bundle knows none: relabel such voxels"),
    ],
)
def test_labels_that_the_bundle_cannot_have(decathlon, edit, labels, expected):
    edit(labels=labels)
    assert any(re.search(f"error: dataset.json {expected}", line) for line in lines(read_dataset(decathlon)))


def test_nnunet(nnunet):
    dataset = read_dataset(nnunet)
    assert (dataset.layout, dataset.findings) == ("nnU-Net", [])
    assert dataset.channel_names == ["CT", "PET"]
    assert dataset.label_names == {1: "liver", 2: "tumour"}
    assert [case.name for case in dataset.cases] == ["a_1", "b"]
    assert [file.name for file in dataset.cases[0].images] == ["a_1_0000.mha", "a_1_0001.mha"]


def test_faults_of_nnunet(nnunet):
    (nnunet / "labelsTr" / "b.mha").unlink()
    (nnunet / "imagesTr" / "a_1_0001.mha").unlink()
    (nnunet / "imagesTr" / "odd.mha").touch()
    (nnunet / "labelsTr" / "lonely.mha").touch()
    assert lines(read_dataset(nnunet)) == [
        f"error: {nnunet}/imagesTr/odd.mha is not named <case>_<four digits of the channel>: rename it",
        f"error: {nnunet}/imagesTr/a_1 has the channels _0000, dataset.json names 2: add or remove files",
        f"error: {nnunet}/imagesTr/b_0000.mha has no label labelsTr/b.mha: add it",
        f"error: {nnunet}/labelsTr/lonely.mha has no image imagesTr/lonely_0000.mha: add it",
    ]


def test_a_pair_of_folders(tmp_path):
    for file in ("scans/a.mhd", "scans/a.raw", "masks/a.nii.gz", "scans/alone.nii", "masks/other.nii", "scans/s/1.dcm"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "masks" / "s.nii.gz").touch()
    dataset = read_dataset(tmp_path, images="scans", labels="masks")
    assert (dataset.layout, dataset.channel_names, dataset.label_names) == ("folders", None, None)
    assert [(case.name, case.images[0].name, case.label.name) for case in dataset.cases] == [
        ("a", "a.mhd", "a.nii.gz"),
        ("s", "s", "s.nii.gz"),
    ]
    assert lines(dataset) == [
        f"error: {tmp_path}/scans/alone.nii has no label of that name in {tmp_path}/masks: add it, or take the image "
        "out",
        f"error: {tmp_path}/masks/other.nii has no image of that name in {tmp_path}/scans: add it, or take the label "
        "out",
    ]


def test_what_is_no_dataset(tmp_path):
    with pytest.raises(ValueError, match="needs both --images and --labels, got images=a, labels=None"):
        read_dataset(tmp_path, images="a")
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere; name the dataset's with --data"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="there is no folder .*masks"):
        read_dataset(tmp_path, images=".", labels="masks")
    with pytest.raises(FileNotFoundError, match="no labelled case in a known layout .*: name the folders of"):
        read_dataset(tmp_path)
    for text, expected in (
        ("{", "is no JSON .*; correct it"),
        ("{}", "has neither the Decathlon's list 'training' nor"),
    ):
        (tmp_path / "dataset.json").write_text(text)
        with pytest.raises(ValueError, match=f"dataset.json {expected}"):
            read_dataset(tmp_path)
