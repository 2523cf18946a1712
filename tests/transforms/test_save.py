"""WholeFileWriter: a file is whole or not there."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, NibabelWriter
from monai.transforms import SaveImage

from dam_components.transforms import WholeFileWriter


def save(folder, array):
    image = MetaTensor(
        torch.as_tensor(array)[None],
        affine=torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0], dtype=torch.float64)),
        meta={"filename_or_obj": "case.nii.gz"},
    )
    SaveImage(
        folder,
        output_postfix="seg",
        output_dtype=np.uint8,
        resample=False,
        print_log=False,
        writer="dam_components.transforms.WholeFileWriter",
    )(image)


def test_it_writes_what_monai_writes_and_nothing_beside(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    save(tmp_path, array)
    assert [f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*.*")] == ["case/case_seg.nii.gz"]
    written = nib.load(tmp_path / "case" / "case_seg.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), array)
    np.testing.assert_allclose(written.affine, np.diag([1, 2, 3, 1]))
    assert gzip.decompress((tmp_path / "case" / "case_seg.nii.gz").read_bytes())  # compressed, as its name says


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    save(tmp_path, np.ones((2, 3, 4), np.uint8))

    def half(self, filename, verbose=True, **kwargs):
        with open(filename, "wb") as file:
            file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(NibabelWriter, "write", half)
    with pytest.raises(OSError, match="disk full"):
        WholeFileWriter().write(tmp_path / "case" / "case_seg.nii.gz")
    assert [f.name for f in (tmp_path / "case").iterdir()] == ["case_seg.nii.gz"]
    np.testing.assert_array_equal(nib.load(tmp_path / "case" / "case_seg.nii.gz").dataobj, np.ones((2, 3, 4)))
