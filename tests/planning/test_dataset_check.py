"""Cases against each other and against dataset.json."""

import numpy as np

from dam_components.data.dataset_layouts import read_dataset
from dam_components.planning.dataset_check import check_dataset


def check(folder, level=None, **options):
    surveys, findings = check_dataset(read_dataset(folder, **options), progress=False)
    return surveys, [str(finding) for finding in findings if level in (None, finding.level)]


def test_a_good_dataset(decathlon):
    surveys, findings = check(decathlon)
    assert len(surveys) == 4
    assert findings == []


def test_too_few_cases_to_test_on(decathlon, edit):
    edit(training=edit()["training"][:2])
    _, findings = check(decathlon, None)
    assert [finding for finding in findings if "complete" in finding] == [
        f"warning: {decathlon} has 2 complete cases: all train, and none is left to validate or to test: no figure "
        "says how good the model is. Add cases, 3 at least"
    ]


def test_no_case(decathlon, edit):
    edit(training=[])
    assert f"error: {decathlon} has 0 complete cases: a dataset needs labelled cases" in check(decathlon, "error")[1]


def test_problems_of_several_cases_are_all_told(decathlon, edit, save, arrays):
    images, labels = decathlon / "imagesTr", decathlon / "labelsTr"
    image, label = arrays(0)
    save(images / "case1.nii.gz", np.stack([image, image], -1))
    save(images / "case2.nii.gz", image)
    save(labels / "case3.nii.gz", label * 2)
    _, errors = check(decathlon, "error")
    assert errors == [
        f"error: {images}/case1.nii.gz has 2 channels, dataset.json names 1: give every case the same channels, or "
        "correct dataset.json",
        f"error: {labels}/case3.nii.gz holds the label 2, dataset.json has 0, 1: name the label in dataset.json, or "
        "say which values are classes with --label_values (or all)",
        f"error: {images}/case2.nii.gz is the same image as {images}/case0.nii.gz: leave one out: folds would test "
        "what they trained on",
    ]


def test_where_nothing_names_channels_and_labels_the_files_do(decathlon, save, arrays):
    folders = {"images": "imagesTr", "labels": "labelsTr"}
    assert check(decathlon, **folders)[1] == []
    image, label = arrays(9)
    save(decathlon / "imagesTr" / "case1.nii.gz", np.stack([image, image], -1))
    save(decathlon / "labelsTr" / "case3.nii.gz", label * 3)
    _, errors = check(decathlon, "error", **folders)
    assert errors == [
        f"error: {decathlon}/imagesTr/case1.nii.gz has 2 channels, most cases have 1: give every case the same "
        "channels",
        f"error: {decathlon} holds the labels 1, 3: number the classes 1..N without gaps, or say which values are "
        "classes with --label_values (or all)",
    ]


def test_a_class_without_a_case_is_a_warning(decathlon, edit):
    edit(labels={"0": "background", "1": "block", "2": "ghost"})
    assert check(decathlon)[1] == [
        "warning: dataset.json names the label 2, ghost, which no case holds: take it out if no case ever will"
    ]


def test_spacing(decathlon, save, arrays):
    def respace(size):
        for part, array in zip(("imagesTr", "labelsTr"), arrays(1), strict=True):
            save(decathlon / part / "case1.nii.gz", array, (1, 1, size))
        return check(decathlon)[1]

    (line,) = respace(1.5)
    assert line.startswith(f"note: {decathlon} has spacings of 1-1 x 1-1 x 1-1.5 mm")
    assert line.endswith("all are resampled")
    (line,) = respace(2.5)
    assert line.startswith("warning: ")
    assert "check that these are of one kind" in line
    assert f"the ends are {decathlon}/imagesTr/case0.nii.gz and {decathlon}/imagesTr/case1.nii.gz" in line
