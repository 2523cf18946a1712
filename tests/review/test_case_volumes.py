import nibabel as nib
import numpy as np
import pytest

from dam_components.review.doubtful_places import doubtful_places, place_in_view
from dam_components.review.results import Results
from dam_components.review.volumes import image_bytes, read_doubt, volume_bytes


def load(content):
    return nib.Nifti1Image.from_bytes(content)


def test_a_map_in_whole_numbers_is_the_map_in_floats(tmp_path):
    confidence = np.random.default_rng(0).random((4, 5, 6), dtype=np.float32)
    nib.save(nib.Nifti1Image(confidence, np.eye(4)), tmp_path / "float.nii.gz")
    whole = nib.Nifti1Image(np.round(confidence * 255).astype(np.uint8), np.eye(4))
    whole.header.set_slope_inter(1 / 255, 0)
    nib.save(whole, tmp_path / "whole.nii.gz")
    np.testing.assert_allclose(read_doubt(tmp_path / "float.nii.gz"), 1 - confidence, atol=1e-6)
    np.testing.assert_allclose(read_doubt(tmp_path / "whole.nii.gz"), 1 - confidence, atol=0.51 / 255)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 7), (5, 6, 7, 1), (5, 6, 7, 2)])
@pytest.mark.parametrize("kind", ["uint8", "int16", ">i2", "int64", "float64", "float32"])
def test_an_image_of_any_shape_and_type_becomes_three_axes(tmp_path, shape, kind):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    nib.save(nib.Nifti1Image(array, np.diag([2, 3, 4, 1]), dtype=array.dtype), tmp_path / "image.nii.gz")
    shown = load(image_bytes(tmp_path / "image.nii.gz"))
    first = array[..., 0] if array.ndim == 4 else array
    np.testing.assert_array_equal(shown.get_fdata(), first.reshape((*shape, 1)[:3]))
    assert shown.header.get_data_dtype().name in ("uint8", "int16", "float32")
    np.testing.assert_allclose(shown.affine, np.diag([2, 3, 4, 1]))


def test_other_formats_are_read_as_inference_reads_them(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)  # z, y, x
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 2.0, 3.0))
    sitk.WriteImage(image, str(tmp_path / "image.mha"))
    shown = load(image_bytes(tmp_path / "image.mha"))
    np.testing.assert_array_equal(shown.get_fdata(), array.transpose())
    np.testing.assert_allclose(shown.affine, np.diag([-1, -2, 3, 1]))


@pytest.mark.parametrize("name", ["image.nii.gz", "image.nii", "image.txt", "image"])
def test_what_is_no_image_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_text("root:x:0:0")
    with pytest.raises(ValueError, match=f"{name} cannot be read as an image"):
        image_bytes(tmp_path / name)


def test_labels_are_marked_for_the_viewer():
    assert load(volume_bytes(np.ones((2, 2, 2), np.uint8), np.eye(4), labels=True)).header["intent_code"] == 1002


def test_places_are_ordered_by_their_sum_of_doubt_and_lie_near_the_structure():
    doubt = np.zeros((20, 20, 20), np.float32)
    doubt[4, 4, 4] = 0.99  # sure to be wrong, but one voxel
    doubt[8:11, 8:11, 8:11] = 0.6
    doubt[9, 9, 9] = 0.7
    doubt[19, 19, 19] = 1  # far from the structure
    doubt[6, 6, 6] = 0.5  # not above the threshold
    segmentation = np.zeros((20, 20, 20), np.uint8)
    segmentation[5:9, 5:9, 5:9] = 1
    places = doubtful_places(segmentation, doubt, np.diag([-1, 1, 1, 1]))
    assert [place["voxel"] for place in places] == [[9, 9, 9], [4, 4, 4]]
    assert [place["doubt"] for place in places] == [0.7, 0.99]
    assert [place["volume_ml"] for place in places] == [0.027, 0.001]
    assert len(doubtful_places(segmentation, doubt, np.eye(4), count=1)) == 1


def test_without_a_doubtful_voxel_the_most_doubtful_one_is_the_place():
    doubt = np.full((3, 3, 3), 0.1)
    doubt[2, 0, 1] = 0.2
    assert [place["voxel"] for place in doubtful_places(np.zeros((3, 3, 3)), doubt, np.eye(4))] == [[2, 0, 1]]
    with pytest.raises(ValueError, match="shape"):
        doubtful_places(np.zeros((3, 3, 2)), doubt, np.eye(4))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "PIR", "ALI"])
def test_a_place_in_view_is_where_the_turned_image_has_it(codes):
    ornt = nib.orientations.axcodes2ornt(codes)
    marked = np.zeros((4, 5, 6))
    voxel = (1, 3, 2)
    marked[voxel] = 1
    affine = nib.orientations.inv_ornt_aff(ornt, marked.shape) @ np.diag([1, 1, 1, 1])
    affine = np.linalg.inv(affine)
    turned = nib.as_closest_canonical(nib.Nifti1Image(marked, affine))
    there = np.argwhere(np.asarray(turned.dataobj) == 1)[0]
    np.testing.assert_allclose(place_in_view(voxel, marked.shape, affine), (there + 0.5) / turned.shape)


def test_results_know_their_cases_alone(tmp_path, write_case):
    folder = tmp_path / "results"
    for case, seed in (("a", 1), ("b", 2)):
        write_case(folder, tmp_path / "images", case, seed)
    (folder / "b" / "b_seg.nii.gz").unlink()
    (folder / "b" / "b_seg.nii.gz").symlink_to(folder / "a" / "a_seg.nii.gz")  # stays inside
    outside = tmp_path / "outside"
    write_case(outside, tmp_path / "images", "d", 3)
    (folder / "d").symlink_to(outside / "d")  # leads out
    results = Results(folder)
    assert results.file("b", "seg.nii.gz").is_file()
    for case, postfix in (("d", "seg.nii.gz"), ("a", "other.nii.gz"), ("a", "../../b/b_seg.nii.gz")):
        with pytest.raises(FileNotFoundError):
            results.file(case, postfix)
    for case in ("nobody", "..", "", "a/../b", "/etc"):
        with pytest.raises(KeyError):
            results.file(case, "seg.nii.gz")


def test_images_that_moved_are_found_by_name(tmp_path, write_case):
    write_case(tmp_path / "results", tmp_path / "images", "a", 1)
    (tmp_path / "images").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="--images"):
        Results(tmp_path / "results").image("a")
    assert Results(tmp_path / "results", tmp_path / "moved").image("a") == tmp_path / "moved" / "a.nii.gz"
    with pytest.raises(FileNotFoundError, match="--images"):
        Results(tmp_path / "results", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="output_dir"):
        Results(tmp_path / "moved")
