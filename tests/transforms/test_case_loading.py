"""LoadCased and CheckCased: a good case passes unchanged, a bad one ends in a line that names its file."""

import time
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImaged

from dam_components import atomic_files
from dam_components.transforms import CheckCased, LoadCased


def volume(array, name):
    return MetaTensor(torch.as_tensor(array, dtype=torch.float32), meta={"filename_or_obj": name})


def case(image=None, label=None):
    image = np.arange(32.0).reshape(1, 4, 4, 2) if image is None else image
    label = np.zeros((1, 4, 4, 2)) if label is None else label
    return {"image": volume(image, "a.nii.gz"), "label": volume(label, "a_label.nii.gz")}


def check(**options):
    return CheckCased(["image", "label"], **{"image_channels": 1, "num_classes": 3, **options})


def test_loading_is_monais(tmp_path):
    file = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.diag([1, 2, 3, 1])), file)
    ours, monais = (kind("image")({"image": str(file)})["image"] for kind in (LoadCased, LoadImaged))
    torch.testing.assert_close(ours, monais)
    torch.testing.assert_close(ours.affine, monais.affine)


def test_threads_that_share_it_do_not_mix_up_their_files(tmp_path, monkeypatch):
    for name in ("t1", "t2", "label"):
        nib.save(nib.Nifti1Image(np.zeros((4, 4, 2), np.float32), np.eye(4)), tmp_path / f"{name}.nii.gz")
    load = nib.load

    def slow(*args, **kwargs):
        time.sleep(0.002)  # lets the other threads in
        return load(*args, **kwargs)

    monkeypatch.setattr("monai.data.image_reader.nib.load", slow)
    t1, t2, label = (str(tmp_path / f"{name}.nii.gz") for name in ("t1", "t2", "label"))
    files = {"image": [t1, t2], "label": label}
    read = LoadCased(["image", "label"])
    with ThreadPoolExecutor(4) as pool:
        shapes = list(pool.map(lambda _: tuple(read(files)["image"].shape), range(24)))
    assert set(shapes) == {(2, 4, 4, 2)}


@pytest.mark.parametrize("bad", ["image", "label"])
@pytest.mark.parametrize("content", [None, b"", b"no image", "cut"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, bad, content):
    files = {key: tmp_path / f"{key}.nii.gz" for key in ("image", "label")}
    for file in files.values():
        nib.save(nib.Nifti1Image(np.random.default_rng(0).random((16, 16, 8)), np.eye(4)), file)
    if content is None:
        files[bad].unlink()
    else:
        whole = files[bad].read_bytes()
        files[bad].write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    with pytest.raises(ValueError, match="fetch it") as caught:
        LoadCased(["image", "label"])({key: str(file) for key, file in files.items()})
    reason = "does not exist" if content is None else "cannot be read"
    assert str(caught.value).startswith(f"{files[bad]} {reason}")
    assert "\n" not in str(caught.value)


def test_missing_keys_of_loading(tmp_path):
    file = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), file)
    assert [*LoadCased(["image", "label"], allow_missing_keys=True)({"image": str(file)})] == ["image"]


def test_a_good_case_passes_unchanged():
    label = np.zeros((1, 4, 4, 2))
    label[0, :2] = (2, 1)
    data = case(label=label)
    checked = check()(data)
    assert checked["image"] is data["image"]
    assert checked["label"] is data["label"]


def test_channels_are_counted():
    two = np.arange(64.0).reshape(2, 4, 4, 2)
    with pytest.raises(ValueError, match=r"a.nii.gz has 2 channels, the configuration expects 1 \(image_channels\)"):
        check()(case(image=two))
    check(image_channels=2)(case(image=two))
    with pytest.raises(ValueError, match="has 1 channels, the configuration expects 2"):
        check(image_channels=2)(case())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_must_be_finite(value):
    image = np.zeros((1, 4, 4, 2))
    image[0, 1, 2, 1] = value
    with pytest.raises(ValueError, match="^a.nii.gz holds NaN or infinite voxels"):
        check()(case(image=image))


def test_the_label_lies_on_the_image():
    with pytest.raises(
        ValueError, match=r"a_label.nii.gz has shape \(4, 4, 3\), its image a.nii.gz \(4, 4, 2\); a label must lie on"
    ):
        check()(case(label=np.zeros((1, 4, 4, 3))))


@pytest.mark.parametrize(("value", "shown"), [(3, "3"), (-1, "-1"), (0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf")])
def test_labels_are_whole_numbers_below_num_classes(value, shown):
    label = np.zeros((1, 4, 4, 2))
    label[0, 0, 0, 0] = value
    expected = rf"a_label.nii.gz holds the label {shown}; labels must be whole numbers in 0..2 \(num_classes - 1\)"
    with pytest.raises(ValueError, match=expected):
        check()(case(label=label))


def test_num_classes_is_heeded():
    label = np.full((1, 4, 4, 2), 3)
    check(num_classes=4)(case(label=label))


def test_a_case_without_a_label_passes_only_if_allowed():
    image_alone = {"image": case()["image"]}
    with pytest.raises(ValueError, match="a.nii.gz has no label"):
        check()(image_alone)
    assert [*check(allow_missing_keys=True)(image_alone)] == ["image"]
    assert [*CheckCased("image", image_channels=1, num_classes=3)(case())] == ["image", "label"]


def test_keys_are_the_image_and_at_most_one_label():
    with pytest.raises(ValueError, match="keys must name the image, and may name the label"):
        CheckCased(["image", "label", "more"], image_channels=1, num_classes=3)


def test_a_tensor_from_no_file_is_called_the_case():
    with pytest.raises(ValueError, match="^the case has 2 channels"):
        CheckCased("image", image_channels=1, num_classes=3)({"image": torch.zeros(2, 4, 4)})


def test_a_format_of_itk_without_itk_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "scan.mha").write_bytes(b"ObjectType = Image")
    with pytest.raises(ValueError, match=r"scan.mha is a .mha file, .*pip install itk-io"):
        LoadCased("image")({"image": str(tmp_path / "scan.mha")})
