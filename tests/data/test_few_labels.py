import json

import pytest

from dam_components.data import decathlon_split, labelled_subset

SPLIT = {"fold": 1, "folds": 5, "validation": 1, "seed": 3}


@pytest.fixture
def dataset(tmp_path):
    """A decathlon layout of ten empty files: a fold trains on seven."""
    entries = []
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    for i in range(10):
        entries.append({"image": f"imagesTr/case{i}.nii.gz", "label": f"labelsTr/case{i}.nii.gz"})
        for file in entries[-1].values():
            (tmp_path / file).touch()
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    return tmp_path


def names(cases):
    return [case["case"] for case in cases]


def test_two_parts_make_up_the_section_and_one_has_no_labels(dataset):
    section = decathlon_split(dataset, "train", **SPLIT)
    few, rest = (labelled_subset(dataset, "train", part, 3, **SPLIT) for part in ("labelled", "unlabelled"))
    assert (len(few), len(rest)) == (3, 4)
    assert sorted(names(few + rest)) == names(section)
    assert all(case in section for case in few)
    assert {frozenset(case) for case in rest} == {frozenset({"image", "case"})}
    assert names(few) == sorted(names(few))
    assert names(rest) == sorted(names(rest))


def test_seed_draws_and_the_same_seed_draws_the_same(dataset):
    drawn = [
        names(labelled_subset(dataset, "train", "labelled", 3, labelled_seed=seed, **SPLIT)) for seed in (0, 0, 1, 2)
    ]
    assert drawn[0] == drawn[1]
    assert len({tuple(each) for each in drawn}) > 1


def test_fold_is_handed_on(dataset):
    for fold in range(5):
        few = labelled_subset(dataset, "train", "labelled", 6, **{**SPLIT, "fold": fold})
        assert set(names(few)) < set(names(decathlon_split(dataset, "train", **{**SPLIT, "fold": fold})))


def test_bad_options(dataset):
    with pytest.raises(ValueError, match="part must be one of labelled, unlabelled, got 'rest'"):
        labelled_subset(dataset, "train", "rest", **SPLIT)
    for labelled in (0, 7, 20, 2.0, True):
        for part in ("labelled", "unlabelled"):
            with pytest.raises(ValueError, match="labelled must be an integer from 1 to 6, so that some of the 7"):
                labelled_subset(dataset, "train", part, labelled, **SPLIT)
