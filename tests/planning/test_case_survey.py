"""A case in numbers, in each format, and each fault in the line that names it."""

import re

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from dam_components import atomic_files
from dam_components.data.dataset_layouts import CaseFiles
from dam_components.planning import case_survey
from dam_components.planning.case_survey import survey_case


@pytest.fixture
def case(tmp_path, save, arrays):
    image, label = arrays(0)
    return CaseFiles("a", (save(tmp_path / "a.nii.gz", image),), save(tmp_path / "a_label.nii.gz", label))


def survey(case, **options):
    found, findings = survey_case(case, **options)
    return found, [str(finding) for finding in findings]


def test_numbers(case, arrays):
    found, findings = survey(case)
    image, label = arrays(0)
    assert findings == []
    assert (found.channels, found.shape, found.spacing_mm) == (1, (8, 8, 6), (1, 1, 1))
    assert found.label_voxels == {0: 384 - 18, 1: 18}  # the block is 3 x 3 x 2
    assert found.largest_piece == {1: 1.0}
    np.testing.assert_array_equal(np.sort(found.inside[0]), np.sort(image[label > 0]))
    assert found.outside.shape == (1, 384 - 18)


def test_the_largest_piece_of_each_structure(tmp_path, save):
    label = np.zeros((6, 6, 6))
    label[0:3, 0, 0] = 1  # three voxels in a row
    label[3, 1, 1] = 1  # touches the row at a corner
    label[5, 5, 5] = 1  # alone
    label[0, 5, 0] = 2
    files = (save(tmp_path / "a.nii.gz", np.random.default_rng(0).random((6, 6, 6))),)
    found, findings = survey(CaseFiles("a", files, save(tmp_path / "a_label.nii.gz", label)))
    assert findings == []
    assert found.largest_piece == {1: 0.8, 2: 1.0}


def test_axes_are_right_front_head(tmp_path, save, arrays):
    affine = np.array([[0, 0, -3.0, 9], [2, 0, 0, 0], [0, 4, 0, 0], [0, 0, 0, 1]])  # front, head, left
    files = []
    for name, array in zip(("i", "l"), arrays(0), strict=True):
        nib.save(nib.Nifti1Image(array, affine), tmp_path / f"{name}.nii")
        files.append(tmp_path / f"{name}.nii")
    found, _ = survey(CaseFiles("a", (files[0],), files[1]))
    assert (found.shape, found.spacing_mm) == ((6, 8, 8), (3, 2, 4))


def test_voxels_are_drawn_by_seed(case, monkeypatch):
    monkeypatch.setattr(case_survey, "SAMPLES", 5)
    drawn = [survey(case, seed=seed)[0].outside for seed in (0, 0, 1)]
    assert drawn[0].shape == (1, 5)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_content_is_of_the_voxels_and_not_of_the_file(case, tmp_path, save, arrays):
    image, _ = arrays(0)
    same = CaseFiles("b", (save(tmp_path / "b.nii", image),), case.label)
    other = CaseFiles("c", (save(tmp_path / "c.nii", image + 1),), case.label)
    contents = [survey(each)[0].content for each in (case, same, other)]
    assert contents[0] == contents[1] != contents[2]


def test_two_channels_as_files_and_as_one_file(tmp_path, save, arrays, case):
    image, _ = arrays(0)
    second = save(tmp_path / "second.nii.gz", image * 2)
    both = save(tmp_path / "both.nii.gz", np.stack([image, image * 2], -1))
    files, findings = survey(CaseFiles("a", (*case.images, second), case.label))
    one, _ = survey(CaseFiles("a", (both,), case.label))
    assert findings == []
    assert files.channels == one.channels == 2
    np.testing.assert_allclose(files.inside, one.inside)
    np.testing.assert_allclose(files.inside[1], 2 * files.inside[0])
    _, findings = survey(CaseFiles("a", (case.images[0], both), case.label))
    assert findings == [f"error: {both} has 2 channels and is one of several files: write a file for each channel"]


def faults(tmp_path, save, image, label):
    """What is wrong, the case that has it, and the line."""
    good = save(tmp_path / "i.nii", image), save(tmp_path / "l.nii", label)
    nan = image.copy()
    nan[0, 0, 0] = np.nan
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(b"no image")
    named = {
        "nan": (save(tmp_path / "nan.nii", nan), good[1], "nan.nii holds NaN or infinite voxels: replace them"),
        "shape": (
            good[0],
            save(tmp_path / "s.nii", label[1:]),
            r"s.nii has shape \(7, 8, 6\), its image .* \(8, 8, 6\)",
        ),
        "affine": (good[0], save(tmp_path / "f.nii", label, shift=0.6), "f.nii lies up to 0.6 mm beside its image"),
        "mirrored": (
            good[0],
            save(tmp_path / "m.nii", label, spacing=(-1, 1, 1)),
            "m.nii is mirrored along axis 0 against its image",
        ),
        "half": (good[0], save(tmp_path / "h.nii", label + 0.5), "h.nii holds the label 0.5: labels must be whole"),
        "negative": (good[0], save(tmp_path / "n.nii", label * -1.0), "n.nii holds the label -1: labels must be whole"),
        "unreadable": (cut, good[1], r"cut.nii.gz cannot be read \(.*\): it is cut short or no image"),
        "flat": (save(tmp_path / "2d.nii", image[..., 0]), good[1], "2d.nii has 2 dimensions: the bundle segments"),
        "channels": (
            good[0],
            save(tmp_path / "c.nii", np.stack([label, label], -1)),
            "c.nii has 2 channels: write one channel of class indices",
        ),
        "placeless": (save(tmp_path / "p.nii", image), good[1], "p.nii has an affine that places no voxel"),
    }
    return named


@pytest.mark.parametrize(
    "fault", ["nan", "shape", "affine", "mirrored", "half", "negative", "unreadable", "flat", "channels", "placeless"]
)
def test_faults(tmp_path, save, arrays, fault):
    image, label, line = faults(tmp_path, save, *arrays(0))[fault]
    if fault == "placeless":  # nibabel writes no such matrix: clear the first row of the header's sform
        raw = bytearray(image.read_bytes())
        raw[280:296] = bytes(16)
        image.write_bytes(raw)
    found, findings = survey(CaseFiles("a", (image,), label))
    assert found is None
    assert any(re.search(f"^error: .*{line}", finding) for finding in findings), findings
    assert all("\n" not in finding for finding in findings)


def test_all_faults_of_a_case_are_told(tmp_path, save, arrays):
    image, label = arrays(0)
    image[0, 0, 0], label[0, 0, 0] = np.inf, 1
    files = save(tmp_path / "i.nii", image), save(tmp_path / "l.nii", label[1:] + 0.5)
    _, findings = survey(CaseFiles("a", files[:1], files[1]))
    assert len(findings) == 3


def test_small_shifts_and_empty_labels_are_warnings(tmp_path, save, arrays):
    image, label = arrays(0)
    files = save(tmp_path / "i.nii", image), save(tmp_path / "l.nii", label * 0, shift=0.3)
    found, findings = survey(CaseFiles("a", files[:1], files[1]))
    assert found is not None
    assert findings[0] == f"warning: {files[1]} is all background: check that this is meant"
    assert findings[1].startswith(f"warning: {files[1]} lies up to 0.3 mm beside its image")


def write_itk(file, array, spacing):
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(file))
    return file


def write_dicom(folder, array, uid="1.2.3", first=0):
    """A series of slices 4 mm apart."""
    folder.mkdir(exist_ok=True)
    for place in range(array.shape[2]):
        image = sitk.GetImageFromArray(array[None, :, :, place].transpose(0, 2, 1).astype(np.int16))
        tags = {"0008|0060": "MR", "0020|000e": uid, "0020|000d": "1.2", "0008|0018": f"{uid}.{first + place}"}
        tags |= {"0020|0032": f"0\\0\\{4 * place}", "0020|0037": "1\\0\\0\\0\\1\\0", "0020|0013": str(place)}
        tags |= {"0008|0021": "20200101", "0018|0050": "4"}
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{uid}-{place}.dcm"))
        writer.Execute(image)
    return folder


@pytest.mark.parametrize("suffix", [".mhd", ".mha"])
def test_metaimage(tmp_path, arrays, suffix):
    image, label = arrays(0)
    files = [
        write_itk(tmp_path / f"{name}{suffix}", array, (0.5, 0.5, 3.0)) for name, array in (("i", image), ("l", label))
    ]
    found, findings = survey(CaseFiles("a", (files[0],), files[1]))
    assert findings == []
    assert (found.shape, found.spacing_mm) == ((8, 8, 6), (0.5, 0.5, 3.0))
    assert found.label_voxels[1] == 18
    assert sorted(found.inside[0]) == sorted(image[label > 0])


def test_a_dicom_series(tmp_path, arrays):
    image, label = arrays(0)
    series = write_dicom(tmp_path / "series", image)
    found, findings = survey(CaseFiles("a", (series,), write_itk(tmp_path / "l.mha", label, (1, 1, 4))))
    assert findings == []
    assert (found.shape, found.spacing_mm) == ((8, 8, 6), (1, 1, 4))
    assert sorted(found.inside[0]) == sorted(image.astype(np.int16)[label > 0])


def test_two_dicom_series_in_one_folder_are_refused(tmp_path, arrays, case):
    image, _ = arrays(0)
    series = write_dicom(tmp_path / "series", image)
    write_dicom(series, image, uid="1.2.4")
    _, findings = survey(CaseFiles("a", (series,), case.label))
    assert f"error: {series} holds 2 DICOM series: give each a folder of its own" in findings


@pytest.mark.parametrize(("name", "what"), [("a.mhd", "is a .mhd file"), ("series", "is a DICOM series")])
def test_itk_is_named_where_it_is_needed_and_missing(tmp_path, case, monkeypatch, name, what):
    monkeypatch.setattr(atomic_files.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "series").mkdir()
    _, findings = survey(CaseFiles("a", (tmp_path / name,), case.label))
    assert findings == [f"error: {tmp_path / name} {what}, which MONAI reads with ITK: pip install itk-io"]
