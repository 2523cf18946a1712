import numpy as np
import pytest

from dam_components.figures import draw_review, review


@pytest.fixture
def drawn(monkeypatch):
    """What draw_review hands to draw_case."""
    seen = {}

    def draw_case(image, prediction, confidence, label, **options):
        seen.update(image=image, prediction=prediction, confidence=confidence, label=label, **options)

    monkeypatch.setattr(review, "draw_case", draw_case)
    return seen


def doubtful_at(shape, *places):
    """A structure in the middle, all sure but for some voxels, and an image that counts its voxels."""
    prediction = np.zeros(shape, dtype=int)
    prediction[tuple(slice(s // 4, s - s // 4) for s in shape)] = 1
    confidence = np.ones(shape)
    for place in places:
        confidence[place] = 0.2
    return np.arange(prediction.size, dtype=float).reshape(shape), prediction, confidence


def test_doubt_far_from_the_structure_does_not_count(drawn):
    volumes = doubtful_at((16, 16, 16), (8, 8, 10), (0, 0, 3), (0, 1, 3))
    draw_review(*volumes, np.eye(4), {1: "gland"}, count=1)
    assert drawn["slice_names"] == ["axial slice 10"]
    draw_review(*volumes, np.eye(4), {1: "gland"}, count=1, band_mm=5.0)  # now it reaches row 0 of slice 3
    assert drawn["slice_names"] == ["axial slice 3"]


def test_without_a_structure_all_doubt_counts_and_nothing_is_cropped(drawn):
    image, prediction, confidence = doubtful_at((16, 16, 16), (0, 0, 3))
    draw_review(image, 0 * prediction, confidence, np.eye(4), {1: "gland"}, count=1)
    assert drawn["slice_names"] == ["axial slice 3"]
    assert drawn["image"].shape == (16, 16, 16)
    draw_review(image, 0 * prediction, 0 * confidence + 1, np.eye(4), {1: "gland"}, count=2)
    assert len(drawn["slices"]) == 2


def test_the_patients_right_is_left_and_the_front_up_whatever_the_axes(drawn):
    image, prediction, confidence = doubtful_at((16, 16, 16), (8, 8, 10))
    draw_review(image, prediction, confidence, np.eye(4), {1: "gland"}, margin_mm=99)  # RAS
    first = drawn["image"]
    assert np.array_equal(first, image[::-1])  # x from left to right of the file runs from left to right of the patient
    turned = np.array([[0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)  # axes S, P, L
    again = [np.transpose(v, (2, 1, 0))[:, ::-1, ::-1] for v in (image, prediction, confidence)]
    draw_review(*again, turned, {1: "gland"}, margin_mm=99)
    assert np.array_equal(drawn["image"], first)
    assert "axial slice 10" in drawn["slice_names"]


def test_slices_are_named_by_the_files_own_axis_if_that_runs_down(drawn):
    down = np.diag([1.0, 1.0, -1.0, 1.0])
    draw_review(*doubtful_at((16, 16, 16), (8, 8, 10)), down, {1: "gland"}, count=1)
    assert drawn["slice_names"] == ["axial slice 10"]
    assert drawn["slices"] == [5]


@pytest.mark.parametrize(
    ("spacing", "name", "aspect"),
    [
        ((1.0, 1.0, 1.4), "axial slice 6", 1.0),
        ((0.5, 1.0, 1.0), "axial slice 6", 2.0),
        ((1.0, 4.0, 1.0), "coronal slice 7", 1.0),
        ((3.0, 1.0, 0.5), "sagittal slice 8", 0.5),
    ],
)
def test_thick_slices_are_shown_as_acquired(drawn, spacing, name, aspect):
    draw_review(*doubtful_at((16, 16, 16), (8, 7, 6)), np.diag([*spacing, 1.0]), {1: "gland"}, count=1)
    assert drawn["slice_names"] == [name]
    assert drawn["aspect"] == pytest.approx(aspect)


@pytest.mark.parametrize(
    ("spacing", "sides"), [((1, 1, 2), ("R", "L")), ((1, 4, 1), ("R", "L")), ((3, 1, 0.5), ("P", "A"))]
)
def test_sides_are_those_of_the_plane_and_the_scale_that_of_its_pixels(drawn, spacing, sides):
    for flip in ((1, 1, 1), (-1, 1, -1)):
        affine = np.diag([*np.multiply(spacing, flip), 1.0])
        draw_review(*doubtful_at((16, 16, 16), (8, 7, 6)), affine, {1: "gland"}, count=1)
        assert drawn["sides"] == sides
        assert drawn["pixel_mm"] == spacing[1 if sides[0] == "P" else 0]


def test_a_label_is_turned_and_cropped_with_the_rest(drawn):
    image, prediction, confidence = doubtful_at((40, 40, 8), (20, 20, 4))
    label = np.zeros_like(prediction)
    label[2:6, 20, 4] = 2  # beside what is predicted
    draw_review(image, prediction, confidence, np.eye(4), {1: "gland"}, margin_mm=1.0, label=label)
    shown = drawn["label"]
    assert shown.shape == drawn["image"].shape
    assert (shown == 2).sum() == 4
    value = image[2, 20, 4]  # the label's first voxel is where it was
    assert shown[drawn["image"] == value] == 2


def test_is_cropped_to_the_zone_and_a_margin(drawn):
    volumes = doubtful_at((40, 40, 8), (20, 20, 4))  # structure 10..29
    draw_review(*volumes, np.diag([2.0, 1.0, 2.0, 1.0]), {1: "gland"}, band_mm=2.0, margin_mm=4.0)
    assert drawn["prediction"].shape == (20 + 2 * (1 + 2), 20 + 2 * (2 + 4), 8)


def test_chosen_slices_lie_apart(drawn):
    volumes = doubtful_at((8, 8, 40), *[(4, 4, z) for z in range(12, 30)], *[(4, 3, z) for z in (19, 20, 21)])
    draw_review(*volumes, np.eye(4), {1: "gland"}, count=3)
    assert min(np.diff(drawn["slices"])) >= 3  # a sixth of the 18 doubtful slices


def test_two_axes():
    figure = draw_review(*doubtful_at((16, 12), (8, 6)), np.eye(4), {1: "gland"}, title="case")
    assert figure.axes[0].get_ylabel() == "slice 0"
    assert figure.get_suptitle() == "case"
