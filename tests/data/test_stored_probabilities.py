"""Stored probabilities: each kind of file, and one line for each thing that can be wrong with it."""

import logging

import nibabel
import numpy as np
import pytest

from dam_components.data.stored_probabilities import check_order, read_probabilities, swapped_order

SHAPE = (4, 5, 6)


def softmax(classes=3, shape=SHAPE, seed=0):
    logits = 3 * np.random.default_rng(seed).standard_normal((classes, *shape))
    exp = np.exp(logits)
    return (exp / exp.sum(0)).astype(np.float32)


def write(folder, name, values):
    file = folder / name
    if name.endswith(".npz"):
        np.savez_compressed(file, probabilities=values)
    elif name.endswith(".npy"):
        np.save(file, values)
    else:
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), file)
    return file


@pytest.mark.parametrize(
    ("name", "axes", "order"),
    [
        ("nnunet.npz", (0, 3, 2, 1), None),
        ("last.nii.gz", (1, 2, 3, 0), None),
        ("last.nii", (1, 2, 3, 0), None),
        ("mine.npy", (0, 1, 2, 3), "cxyz"),
        ("mine.npy", (3, 2, 1, 0), "zyxc"),
        ("mine.npz", (2, 0, 1, 3), "ycxz"),
    ],
)
def test_every_kind_of_file_gives_class_first_and_the_axes_of_the_image(tmp_path, name, axes, order):
    expected = softmax()
    file = write(tmp_path, name, expected.transpose(axes))
    np.testing.assert_array_equal(read_probabilities(file, SHAPE, 3, order), expected)


def test_the_only_entry_of_an_npz_is_read_whatever_its_name(tmp_path):
    np.savez(tmp_path / "a.npz", softmax=softmax())
    np.testing.assert_array_equal(read_probabilities(tmp_path / "a.npz", SHAPE, 3, "cxyz"), softmax())


def test_half_precision_is_told_and_its_largest_probability_is_exact(tmp_path, caplog):
    exact = np.empty((2, *SHAPE))
    exact[1] = 1e-4  # 0.9999 is 1 in half precision
    exact[0] = 1 - exact[1]
    file = write(tmp_path, "a.npz", exact.transpose(0, 3, 2, 1).astype(np.float16))
    with caplog.at_level(logging.WARNING):
        values = read_probabilities(file, SHAPE, 2)
    assert len(caplog.records) == 1
    assert "float16" in caplog.text
    assert "a.npz" in caplog.text
    np.testing.assert_allclose(values, exact, rtol=1e-3)
    assert values.dtype == np.float32


WRONG = {
    "swapped": (lambda p: p, "a.npz", "the axes x and z look swapped; store it in that order, or give --order cxyz"),
    "channel last": (lambda p: p.transpose(3, 2, 1, 0), "a.npz", "give --order zyxc"),
    "logits": (lambda p: np.log(p).transpose(0, 3, 2, 1), "a.npz", "look like logits; store their softmax"),
    "sigmoids": (lambda p: (0.9 * p + 0.1).transpose(0, 3, 2, 1), "a.npz", "sigmoids and classes that overlap"),
    "labels": (
        lambda p: (p > 0.5).astype(np.uint8).transpose(0, 3, 2, 1),
        "a.npz",
        "store the softmax, not the labels",
    ),
    "nan": (lambda p: (p * np.nan).transpose(0, 3, 2, 1), "a.npz", "NaN or infinity"),
    "classes": (lambda p: softmax(4).transpose(0, 3, 2, 1), "a.npz", "4 classes and the labels 3"),
    "grid": (lambda p: softmax(3, (8, 5, 6)).transpose(0, 3, 2, 1), "a.npz", "another grid than its image"),
    "axes": (lambda p: p[0], "a.npz", "has 3 axes; probabilities need 4"),
    "order": (lambda p: p, "a.npy", "does not say the order of its axes"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told_in_one_line_with_the_file_and_a_remedy(tmp_path, kind):
    spoil, name, message = WRONG[kind]
    file = write(tmp_path, name, spoil(softmax()))
    with pytest.raises(ValueError) as error:
        read_probabilities(file, SHAPE, 3)
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_half_written_file_is_told(tmp_path, kept):
    file = write(tmp_path, "a.npz", softmax().transpose(0, 3, 2, 1))
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"a\.npz cannot be read .*write it again"):
        read_probabilities(file, SHAPE, 3)


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", probabilities=np.array([{"code": "runs"}], dtype=object))
    with pytest.raises(ValueError, match="only plain arrays are read"):
        read_probabilities(tmp_path / "a.npz", SHAPE, 3)


def test_an_order_names_each_axis_once():
    with pytest.raises(ValueError, match="order must name each axis once"):
        check_order("cxyy")


def test_axes_of_equal_size_are_told_apart_by_the_label():
    label = np.zeros((8, 8, 8), int)
    label[1:3, 2:7, 4:6] = 1
    stored = np.stack([label == 0, label == 1]).astype(np.float32)
    assert swapped_order(stored, label) is None
    assert swapped_order(stored.transpose(0, 3, 2, 1), label) == "zyx"
    assert swapped_order(stored.transpose(0, 2, 1, 3), label) == "yxz"


def test_a_model_that_finds_nothing_is_not_taken_for_swapped():
    label = np.zeros((8, 8, 8), int)
    label[1:3, 2:7, 4:6] = 1
    nothing = np.stack([np.ones((8, 8, 8)), np.zeros((8, 8, 8))])
    assert swapped_order(nothing, label) is None
