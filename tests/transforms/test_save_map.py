"""A map's file, and the path that tells a client of it."""

import nibabel as nib
import pytest
import torch
from monai.data import MetaTensor

from dam_components.transforms import SaveMapd

AFFINE = torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0], dtype=torch.float64))


def case():
    map_ = torch.arange(24).reshape(1, 2, 3, 4) / 24
    return {"confidence": MetaTensor(map_, affine=AFFINE, meta={"filename_or_obj": "/store/p7.nii.gz"}), "pred": 1}


def save(folder, **options):
    return SaveMapd("confidence", folder, "confidence", output_dtype="float32", resample=False, **options)


def test_the_file_lies_where_saveimaged_puts_it_and_holds_the_map_in_its_space(tmp_path):
    told = save(tmp_path)(case())["result"]["confidence_map"]
    assert told == str(tmp_path / "p7" / "p7_confidence.nii.gz")
    file = nib.load(told)
    torch.testing.assert_close(torch.tensor(file.get_fdata()).float(), case()["confidence"][0].as_tensor())
    assert file.affine.tolist() == AFFINE.tolist()


def test_the_path_is_absolute_and_joins_what_the_result_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = {**case(), "result": {"review": False}}
    result = save("out")(data)
    assert result["result"] == {"review": False, "confidence_map": str(tmp_path / "out/p7/p7_confidence.nii.gz")}
    assert data["result"] == {"review": False}
    assert result["pred"] == 1


def test_result_key_names_the_path(tmp_path):
    assert list(save(tmp_path, result_key="trust")(case())["result"]) == ["trust"]


def test_data_without_the_map_are_an_error_unless_allowed(tmp_path):
    with pytest.raises(KeyError, match="confidence"):
        save(tmp_path)({"pred": 1})
    assert save(tmp_path, allow_missing_keys=True)({"pred": 1}) == {"pred": 1}


def test_one_key_only(tmp_path):
    with pytest.raises(ValueError, match=r"keys must name the map, one key, got \['a', 'b'\]"):
        SaveMapd(["a", "b"], tmp_path, "map")


def test_by_default_the_file_holds_bytes_that_read_as_fractions(tmp_path):
    data = case()
    told = SaveMapd("confidence", tmp_path, "confidence", resample=False)(data)["result"]["confidence_map"]
    file = nib.load(told)
    assert file.get_data_dtype() == "uint8"
    assert file.dataobj.slope == pytest.approx(1 / 255)
    assert file.header.get_xyzt_units()[0] == "mm"
    assert file.affine.tolist() == AFFINE.tolist()
    map_ = data["confidence"][0].as_tensor()
    assert map_.dtype == torch.float32
    torch.testing.assert_close(torch.tensor(file.get_fdata()).float(), map_, rtol=0, atol=0.5 / 255 + 1e-6)


def test_values_a_little_outside_are_cut(tmp_path):
    data = {"confidence": MetaTensor(torch.tensor([[[[-0.01, 1.02]]]]), meta={"filename_or_obj": "a.nii.gz"})}
    told = SaveMapd("confidence", tmp_path, "confidence", resample=False)(data)["result"]["confidence_map"]
    read = nib.load(told).get_fdata()
    assert read.ravel().tolist() == pytest.approx([0, 1])
    assert read.max() <= 1  # the header's float32 would make it a little more
