"""Which cases an inference takes, and what it does with those that cannot be read."""

import json

import pytest

from dam_components.data import ReadableCases, list_inference_cases
from dam_components.data.dataset_layouts import listed_name


def touch(folder, *names):
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def index(folder, **sections):
    (folder / "dataset.json").write_text(json.dumps(sections))


def names(folder):
    return [case["image"] for case in list_inference_cases(folder)]


def test_images_of_a_folder_sorted_and_nothing_else(tmp_path):
    touch(tmp_path, "b.nii.gz", "a.nii", "d.mha", "c.mhd", "e.nrrd", "notes.txt", "c.raw", ".f.nii.gz", "deep/g.nii.gz")
    assert names(tmp_path) == [str(tmp_path / name) for name in ("a.nii", "b.nii.gz", "c.mhd", "d.mha", "e.nrrd")]
    assert names(str(tmp_path)) == names(tmp_path)


def test_a_decathlon_folder_gives_its_test_cases(tmp_path):
    index(tmp_path, training=[{"image": "./imagesTr/a.nii.gz", "label": "x"}], test=["./imagesTs/b.nii.gz"])
    assert names(tmp_path) == [str(tmp_path / "imagesTs" / "b.nii.gz")]


@pytest.mark.parametrize("sections", [{"test": []}, {}])
def test_without_test_cases_it_gives_the_training_cases(tmp_path, sections):
    index(tmp_path, training=[{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}], **sections)
    cases = list_inference_cases(tmp_path)
    assert cases == [{"image": str(tmp_path / "imagesTr" / "a.nii.gz")}]  # no label to lean on


def test_several_images_of_a_case_stay_together(tmp_path):
    index(tmp_path, training=[{"image": ["./a_T1.nii.gz", "./a_FLAIR.nii.gz"], "label": "./a.nii.gz"}])
    assert names(tmp_path) == [[str(tmp_path / "a_T1.nii.gz"), str(tmp_path / "a_FLAIR.nii.gz")]]


def test_channels_in_files_of_nnu_net_are_one_case(tmp_path):
    touch(tmp_path, *(f"{case}_{channel:04d}.nii.gz" for case in ("a_1", "b") for channel in (1, 0)), "c.nii.gz")
    cases = [case["image"] for case in list_inference_cases(tmp_path, image_channels=2)]
    a, b = ([str(tmp_path / f"{case}_000{channel}.nii.gz") for channel in (0, 1)] for case in ("a_1", "b"))
    assert cases == [a, b, str(tmp_path / "c.nii.gz")]
    with pytest.raises(ValueError, match="_0000.nii.gz and .*_0001.nii.gz are cases of one name"):
        names(tmp_path)  # with one channel each file is a case, and both are a_1


@pytest.mark.parametrize("channels", [1, 2])
def test_digits_without_a_first_channel_count_the_cases(tmp_path, channels):
    touch(tmp_path, "IMG_0001.nii.gz", "IMG_0002.nii.gz", "other_0000.nii.gz")
    cases = list_inference_cases(tmp_path, channels)
    assert [case["image"] for case in cases] == sorted(map(str, tmp_path.iterdir()))
    assert [listed_name(case) for case in cases] == ["IMG_0001", "IMG_0002", "other"]
    (alone,) = list_inference_cases(tmp_path / "IMG_0001.nii.gz", channels)
    assert listed_name(alone) == "IMG_0001"  # as among others


def test_an_index_without_cases_leaves_the_images_beside_it(tmp_path):
    index(tmp_path, training=[], test=[])
    touch(tmp_path, "a.nii.gz")
    assert names(tmp_path) == [str(tmp_path / "a.nii.gz")]


def test_no_images_and_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no image \(.nii.gz, .*nrrd\), no DICOM series"):
        list_inference_cases(tmp_path)
    with pytest.raises(
        FileNotFoundError, match="there is no folder .*absent; name the images' folder with --dataset_dir"
    ):
        list_inference_cases(tmp_path / "absent")


def read(case):
    """Fails as MONAI does, which wraps a transform's error in one of its own."""
    if "bad" not in case["image"]:
        return case
    try:
        raise ValueError(f"{case['image']} is bad\nand more")
    except ValueError as error:
        raise RuntimeError("applying transform") from error


def test_bad_cases_are_left_out_and_listed_at_the_end(capsys):
    cases = ReadableCases([{"image": name} for name in ("a", "bad", "b", "bad2")], read)
    assert [case["image"] for case in cases] == ["a", "b"]
    assert cases.failed == ["bad: bad is bad", "bad2: bad2 is bad"]
    with pytest.raises(SystemExit) as ended:
        cases.exit_if_failed()
    # a text in place of a number ends a program with status 1
    assert ended.value.code == (
        "error: 2 of 4 cases failed, the others are done:\n  bad: bad is bad\n  bad2: bad2 is bad"
    )
    assert "4/4" in capsys.readouterr().err  # the progress bar counts them all


def test_good_cases_end_well_and_a_second_pass_starts_anew():
    cases = ReadableCases([{"image": "bad"}, {"image": "a"}], read)
    for _ in range(2):
        list(cases)
        assert len(cases.failed) == 1
    cases = ReadableCases([{"image": "a"}], read)
    list(cases)
    assert cases.exit_if_failed() is None
