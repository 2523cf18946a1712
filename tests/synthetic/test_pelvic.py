import json
import time

import nibabel as nib
import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from scipy import ndimage

from dam_components.synthetic import pelvic_spacing, synthesize_pelvic, write_pelvic_dataset

BLADDER, PROSTATE, RECTUM = 1, 2, 3
SMALL = (32, 32, 16)


def _volumes_ml(label, spacing):
    return [float((label == organ).sum() * np.prod(spacing) / 1000) for organ in (BLADDER, PROSTATE, RECTUM)]


def _centre_mm(mask, spacing):
    return np.array(ndimage.center_of_mass(mask)) * spacing


def test_spacing_keeps_the_field_of_view():
    assert pelvic_spacing((256, 256, 120)) == (1, 1, 1)
    assert pelvic_spacing((200, 160, 192)) == (1, 1, 1)
    assert pelvic_spacing((32, 48, 24)) == (5, pytest.approx(160 / 48), 4)  # 160, 160 and 96 mm
    assert pelvic_spacing((512, 512, 384)) == (0.5, 0.5, 0.5)  # 256, 256 and 192 mm


def test_same_seed_same_volume_and_another_seed_another():
    image, label = synthesize_pelvic(3, SMALL)
    again, again_label = synthesize_pelvic(3, SMALL)
    other, other_label = synthesize_pelvic(4, SMALL)
    assert image.dtype == np.float32
    assert label.dtype == np.uint8
    assert image.shape == label.shape == SMALL
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(label, again_label)
    assert (image != other).mean() > 0.99
    assert (label != other_label).any()
    assert np.isfinite(image).all()
    assert image.min() >= 0


def test_seed_may_be_several_integers():
    assert (synthesize_pelvic((0, 1), SMALL)[0] != synthesize_pelvic((1, 0), SMALL)[0]).any()


@pytest.mark.parametrize("shape", [(16, 16, 8), SMALL, (48, 48, 24), (64, 64, 16), (40, 56, 33)])
@pytest.mark.parametrize("start", [0, 1000])
def test_every_seed_and_shape_has_three_whole_organs(shape, start):
    for seed in range(start, start + 12):
        label = synthesize_pelvic(seed, shape)[1]
        for organ in (BLADDER, PROSTATE, RECTUM):
            assert ndimage.label(label == organ, np.ones((3, 3, 3)))[1] == 1, f"organ {organ}, seed {seed}"
        for volume, (low, high) in zip(
            _volumes_ml(label, pelvic_spacing(shape)), ((15, 320), (10, 140), (15, 130)), strict=True
        ):
            assert low < volume < high, f"seed {seed}"


def test_a_seed_is_one_subject_at_any_resolution():
    for seed in range(3):
        coarse = synthesize_pelvic(seed, (64, 64, 32))[1]
        fine = synthesize_pelvic(seed, (128, 128, 64))[1]  # the same field of view at half the spacing
        large = synthesize_pelvic(seed, (96, 96, 48), (2.0, 2.0, 2.0))[1]  # a larger field of view
        expected = _volumes_ml(fine, pelvic_spacing(fine.shape))
        assert _volumes_ml(coarse, pelvic_spacing(coarse.shape)) == pytest.approx(expected, rel=0.06)
        assert _volumes_ml(large, (2, 2, 2))[1] == pytest.approx(expected[1], rel=0.06)


def test_axes_are_right_anterior_superior():
    spacing = pelvic_spacing((48, 48, 24))
    for seed in range(8):
        label = synthesize_pelvic(seed, (48, 48, 24))[1]
        bladder, prostate, rectum = (_centre_mm(label == organ, spacing) for organ in (BLADDER, PROSTATE, RECTUM))
        assert bladder[2] > prostate[2] + 20  # the bladder lies above the prostate
        assert rectum[1] < prostate[1] - 15  # the rectum lies behind it
        assert abs(prostate[0] - 80) < 12  # it lies in the middle


def test_organs_touch_and_vary_by_subject():
    volumes, centres = [], []
    for seed in range(12):
        shape = (64, 64, 32)
        label = synthesize_pelvic(seed, shape)[1]
        near = ndimage.binary_dilation(label == PROSTATE, iterations=2)
        assert (label[near] == BLADDER).any()
        assert (label[near] == RECTUM).any()
        volumes.append(_volumes_ml(label, pelvic_spacing(shape)))
        centres.append(_centre_mm(label == PROSTATE, pelvic_spacing(shape)))
    assert (np.std(volumes, axis=0) / np.mean(volumes, axis=0) > 0.12).all()
    assert (np.std(centres, axis=0)[1:] > 1).all()


def test_rectum_is_long_narrow_and_curved():
    spacing = pelvic_spacing((64, 64, 48))
    for seed in range(6):
        rectum = synthesize_pelvic(seed, (64, 64, 48))[1] == RECTUM
        slices = np.flatnonzero(rectum.any((0, 1)))
        width = 2 * np.sqrt(rectum[:, :, slices].sum((0, 1)).mean() * spacing[0] * spacing[1] / np.pi)
        assert len(slices) * spacing[2] > 2 * width
        course = [ndimage.center_of_mass(rectum[:, :, z])[1] * spacing[1] for z in slices]
        straight = np.polyval(np.polyfit(slices, course, 1), slices)
        assert np.abs(course - straight).max() > 2


def test_prostate_border_fades_at_apex_and_base():
    def contrast(image, mask, slices):
        """Edge strength on the in-plane border, relative to the gland's own brightness."""
        smooth = ndimage.gaussian_filter(image, (0.7, 0.7, 0))
        edge = np.hypot(ndimage.sobel(smooth, axis=0), ndimage.sobel(smooth, axis=1))
        cross = ndimage.generate_binary_structure(2, 1)[:, :, None]
        border = mask & ~ndimage.binary_erosion(mask, cross)
        return edge[:, :, slices][border[:, :, slices]].mean() / image[mask].mean()

    ratios = []
    for seed in range(6):
        image, label = synthesize_pelvic(seed, (128, 128, 64))
        image = ndimage.gaussian_filter(image, (0, 0, 0.5))
        slices = np.flatnonzero((label == PROSTATE).any((0, 1)))
        sixth = len(slices) // 6
        middle = contrast(image, label == PROSTATE, slices[2 * sixth : -2 * sixth])
        ends = [contrast(image, label == PROSTATE, part) for part in (slices[:sixth], slices[-sixth:])]
        ratios.append([end / middle for end in ends])
    assert (np.mean(ratios, axis=0) < 0.75).all(), ratios


def test_two_scanners():
    # gains of 420 and 1250 within -15 % and +20 %: the medians over the inner body don't overlap
    level = sorted(float(np.median(synthesize_pelvic(seed, SMALL)[0][4:28, 8:24])) for seed in range(16))
    gap = np.diff(np.log(level))
    assert gap.max() > 0.2
    assert 3 <= int(gap.argmax()) + 1 <= 13


def test_full_size_takes_less_than_five_seconds():
    start = time.process_time()
    image, label = synthesize_pelvic(0)
    assert time.process_time() - start < 5
    assert image.shape == label.shape == (256, 256, 120)


@pytest.mark.parametrize(
    ("shape", "spacing", "message"),
    [
        ((32, 32), None, r"three voxel counts of at least \(16, 16, 8\), got \(32, 32\)"),
        ((32, 32, 4), None, r"got \(32, 32, 4\): try \(48, 48, 24\)"),
        ((32, 32, 16), (5.0, 5.0), r"three positive sizes in mm, got \(5.0, 5.0\)"),
        ((32, 32, 16), (5.0, 5.0, -6.0), r"three positive sizes in mm, got \(5.0, 5.0, -6.0\)"),
        ((32, 32, 16), (1.0, 1.0, 1.0), r"at least \(160.0, 160.0, 96.0\) mm .* got \(32.0, 32.0, 16.0\) mm .*leave"),
    ],
)
def test_bad_grid(shape, spacing, message):
    with pytest.raises(ValueError, match=message):
        synthesize_pelvic(0, shape, spacing)


def test_dataset_is_what_monai_reads(tmp_path, capsys):
    folder = write_pelvic_dataset(tmp_path / "new" / "pelvic", cases=2, seed=7, shape=SMALL)
    assert "2/2" in capsys.readouterr().err
    cases = load_decathlon_datalist(folder / "dataset.json")
    assert [case["image"].rsplit("/", 1)[1] for case in cases] == ["pelvic_000.nii.gz", "pelvic_001.nii.gz"]
    image, label = (nib.load(cases[1][key]) for key in ("image", "label"))
    assert image.get_data_dtype() == np.int16
    assert label.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(image.affine, label.affine)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.header.get_zooms() == (5, 5, 6)
    np.testing.assert_allclose(image.affine[:3, 3], (-77.5, -77.5, -45))  # -(32 - 1) / 2 * 5, -(16 - 1) / 2 * 6
    expected_image, expected_label = synthesize_pelvic((7, 1), SMALL)
    np.testing.assert_allclose(image.get_fdata(), expected_image, atol=0.501)
    np.testing.assert_array_equal(np.asarray(label.dataobj), expected_label)
    stored = json.loads((folder / "dataset.json").read_text())
    assert stored["labels"] == {"0": "background", "1": "bladder", "2": "prostate", "3": "rectum"}
    assert stored["synthetic"] == {"version": 1, "cases": 2, "seed": 7, "shape": [*SMALL], "spacing": [5, 5, 6]}
    assert stored["numTraining"] == 2
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "imagesTr", "labelsTr"]


def _stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nii.gz")}


def test_complete_dataset_is_not_written_again(tmp_path):
    write_pelvic_dataset(tmp_path, cases=2, shape=SMALL)
    before = _stamps(tmp_path)
    write_pelvic_dataset(tmp_path, cases=2, shape=list(SMALL), spacing=(5, 5, 6))
    assert _stamps(tmp_path) == before


@pytest.mark.parametrize("lost", ["dataset.json", "imagesTr/pelvic_001.nii.gz", "labelsTr/pelvic_000.nii.gz"])
def test_incomplete_dataset_is_written_again(tmp_path, lost):
    write_pelvic_dataset(tmp_path, cases=2, shape=SMALL)
    (tmp_path / lost).unlink()
    write_pelvic_dataset(tmp_path, cases=2, shape=SMALL)
    assert (tmp_path / lost).is_file()


@pytest.mark.parametrize("other", [{"seed": 1}, {"cases": 1}, {"shape": (33, 32, 16)}, {"spacing": (6.0, 6.0, 6.0)}])
def test_other_parameters_replace_the_dataset(tmp_path, other):
    write_pelvic_dataset(tmp_path, cases=2, shape=SMALL)
    before = nib.load(tmp_path / "imagesTr" / "pelvic_000.nii.gz").get_fdata()
    changed = {"cases": 2, "shape": SMALL, **other}
    write_pelvic_dataset(tmp_path, **changed)
    assert len([*tmp_path.rglob("*.nii.gz")]) == 2 * changed["cases"]  # none of the old cases stays behind
    after = nib.load(tmp_path / "imagesTr" / "pelvic_000.nii.gz").get_fdata()
    assert np.array_equal(before, after) == (other == {"cases": 1})


def test_interrupted_writing_leaves_no_dataset_json(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    write_pelvic_dataset(tmp_path, cases=1, shape=SMALL)
    monkeypatch.setattr("dam_components.synthetic.pelvic.nib.save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_pelvic_dataset(tmp_path, cases=1, seed=1, shape=SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["imagesTr", "labelsTr"]


@pytest.mark.parametrize("content", ['{"name": "Hippocampus", "training": []}', "no json", "[]"])
def test_another_dataset_is_not_overwritten(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(FileExistsError, match="not synthetic pelvic MRI: name another folder"):
        write_pelvic_dataset(tmp_path, cases=1, shape=SMALL)
    assert (tmp_path / "dataset.json").read_text() == content


def test_a_dataset_has_cases(tmp_path):
    with pytest.raises(ValueError, match="cases must be at least 1, got 0"):
        write_pelvic_dataset(tmp_path, cases=0)
