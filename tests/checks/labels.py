"""A label and its image, through LoadCased and CheckCased."""

import numpy as np
import pytest
from monai.transforms import Compose, EnsureChannelFirstd

from dam_components.transforms import CheckCased, LoadCased
from tests.checks.image_files import AFFINE, VOXELS, write
from tests.checks.table import refused, taken

PLACE = "Labels and their images"
LABEL = np.zeros(VOXELS.shape, np.uint8)
LABEL[2:5, 2:6, 1:4] = 1
LABEL[2, 2, 2] = 2


def read(folder, label=LABEL, affine=AFFINE, image=VOXELS, image_affine=AFFINE):
    files = {"image": str(write(folder / "i.nii.gz", image, image_affine))}
    files["label"] = str(write(folder / "l.nii.gz", label, affine))
    keys = ["image", "label"]
    steps = [LoadCased(keys), EnsureChannelFirstd(keys), CheckCased(keys, image_channels=1, num_classes=3)]
    return Compose(steps)(files)


def changed(row, column, value):
    affine = AFFINE.copy()
    affine[row, column] = value
    return affine


for number, name in enumerate(("left-right", "front-back", "head-foot")):

    @refused(
        PLACE, f"a header mirrored {name} against the image's", f"is mirrored along axis {number} against its image"
    )
    def _(tmp_path, axis=number):
        flip = np.ones(4)
        flip[axis] = -1
        read(tmp_path, affine=np.diag(flip) @ AFFINE)


@refused(PLACE, "a header mirrored on two axes (LPS taken for RAS)", "is mirrored along axes 0, 1 against its image")
def _(tmp_path):
    read(tmp_path, affine=np.diag([-1.0, -1, 1, 1]) @ AFFINE)


@refused(PLACE, "mirrored about its own middle: the same box, other voxels", "is mirrored along axis 0 against")
def _(tmp_path):
    affine = np.diag([-1.0, 1, 1, 1]) @ AFFINE
    affine[0, 3] = VOXELS.shape[0] - 1
    read(tmp_path, affine=affine)


@refused(PLACE, "two axes swapped in the header", "beside its image")
def _(tmp_path):
    read(tmp_path, affine=AFFINE[:, [1, 0, 2, 3]])


@refused(PLACE, "another spacing on the same grid of voxels", "has voxels of 1 x 1 x 4 mm, unlike its image")
def _(tmp_path):
    read(tmp_path, affine=changed(2, 2, 4))


@refused(PLACE, "spacing of 1 mm everywhere: the header was lost", "has voxels of 1 x 1 x 1 mm, unlike its image")
def _(tmp_path):
    read(tmp_path, affine=np.eye(4))


@refused(PLACE, "an origin of zero: the header was lost", "lies up to 41 mm beside its image")
def _(tmp_path):
    read(tmp_path, image_affine=changed(0, 3, 41))


@refused(PLACE, "a shift of 0.6 voxel", "lies up to 0.6 mm beside its image")
def _(tmp_path):
    read(tmp_path, affine=changed(0, 3, 0.6))


@refused(PLACE, "turned by 10 degrees", "beside its image")
def _(tmp_path):
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    read(tmp_path, affine=np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ AFFINE)


@taken(PLACE, "a shift of less than half a voxel (rounded headers)", "the label gets the image's grid")
def _(tmp_path):
    case = read(tmp_path, affine=changed(0, 3, 0.3))
    np.testing.assert_array_equal(case["label"].affine, case["image"].affine)
    np.testing.assert_array_equal(case["label"][0], LABEL)


@refused(PLACE, "another shape", "a label must lie on its image's grid")
def _(tmp_path):
    read(tmp_path, LABEL[1:])


@refused(PLACE, "axes in another order", "a label must lie on its image's grid")
def _(tmp_path):
    read(tmp_path, LABEL.transpose(2, 0, 1))


@taken(PLACE, "a trailing axis of 1 in the label alone", "taken")
def _(tmp_path):
    assert read(tmp_path, LABEL[..., None])["label"].shape == (1, *LABEL.shape)


@refused(PLACE, "one-hot labels on a fourth axis", "a label is one channel of class indices")
def _(tmp_path):
    read(tmp_path, np.stack([value == LABEL for value in range(3)], -1).astype(np.uint8))


for wrong, shown in ((3, "3"), (128, "128"), (255, "255"), (-1, "-1"), (0.5, "0.5"), (1.4999999, "1.49999988")):

    @refused(
        PLACE, f"the value {wrong} where there are classes 0, 1, 2", f"holds the label {shown}; labels must be whole"
    )
    def _(tmp_path, value=wrong):
        label = LABEL.astype(np.float32)
        label[0, 0, 0] = value
        read(tmp_path, label)


for wrong in (np.nan, np.inf, -np.inf):

    @refused(PLACE, f"{wrong} in a label", f"holds the label {wrong}; labels must be whole")
    def _(tmp_path, value=wrong):
        label = LABEL.astype(np.float32)
        label[0, 0, 0] = value
        read(tmp_path, label)


@taken(PLACE, "0.9999999 in place of 1 (saved with a scale)", "made whole")
def _(tmp_path):
    case = read(tmp_path, LABEL * np.float32(0.9999999))
    np.testing.assert_array_equal(case["label"][0], LABEL)


@refused(PLACE, "a case without its label", "has no label; give one")
def _(tmp_path):
    keys = ["image", "label"]
    image = str(write(tmp_path / "i.nii.gz"))
    load = [LoadCased(keys, allow_missing_keys=True), EnsureChannelFirstd(keys, allow_missing_keys=True)]
    Compose([*load, CheckCased(keys, image_channels=1, num_classes=3)])({"image": image})


@refused(PLACE, "a damaged label file", "l.nii.gz cannot be read")
def _(tmp_path):
    with pytest.MonkeyPatch.context():
        read(tmp_path)
    file = tmp_path / "l.nii.gz"
    file.write_bytes(file.read_bytes()[:-9])
    LoadCased(["image", "label"])({"image": str(tmp_path / "i.nii.gz"), "label": str(file)})
