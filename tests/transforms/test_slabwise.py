import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Activationsd, Compose, Invertd, Orientationd, Spacingd

from dam_components.transforms import InvertByChanneld, PredictedClassd, SoftmaxInPlaced, slabwise

RANDOM = torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def _small_slabs(monkeypatch):
    monkeypatch.setattr(slabwise, "SLAB", 100)  # several slabs, of unequal size


def volume(channels=3, shape=(11, 6, 5)):
    return torch.randn(channels, *shape, generator=RANDOM)


def test_slabs_cover_the_axis_once():
    cuts = list(slabwise.slabs(volume()))
    assert len(cuts) > 2
    assert [i for cut in cuts for i in range(11)[cut]] == list(range(11))


def test_softmax_is_monais_and_takes_no_memory():
    logits = MetaTensor(volume(), meta={"filename_or_obj": "a.nii"})
    expected = Activationsd("pred", softmax=True)({"pred": logits.clone()})["pred"]
    result = SoftmaxInPlaced("pred")({"pred": logits})["pred"]
    torch.testing.assert_close(result.as_tensor(), expected.as_tensor())
    assert result.data_ptr() == logits.data_ptr()
    assert result.meta["filename_or_obj"] == "a.nii"


def test_softmax_of_half_precision_is_single():
    result = SoftmaxInPlaced("pred")({"pred": volume().half()})["pred"]
    assert result.dtype == torch.float32


def test_classes_are_those_of_argmax():
    p = volume().softmax(0)
    called = PredictedClassd("pred")({"pred": MetaTensor(p, meta={"a": 1})})["pred"]
    assert called.dtype == torch.uint8
    assert called.meta["a"] == 1
    assert torch.equal(called[0].as_tensor().long(), p.argmax(0))


def test_many_classes_keep_their_numbers():
    p = torch.zeros(300, 4)
    p[299] = 1
    assert slabwise.class_map(p).tolist() == [[299] * 4]


def oblique(flipped):
    affine = np.diag([-2.0, 1.0, 1.5, 1]) if flipped else np.diag([2.0, 1.0, 1.5, 1])
    if flipped:
        affine = affine[:, [1, 0, 2, 3]]  # axes in another order too
    return affine


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("pixdim", [None, (1.0, 1.0, 1.0)])
def test_inversion_is_monais(flipped, pixdim):
    steps = [Orientationd("image", axcodes="RAS", labels=None)]
    if pixdim is not None:
        steps.append(Spacingd("image", pixdim=pixdim))
    preprocessing = Compose(steps)
    image = preprocessing({"image": MetaTensor(volume(1, (8, 8, 9)), affine=oblique(flipped))})["image"]
    p = MetaTensor(volume(3, image.shape[1:]).softmax(0)[None])
    confidence = MetaTensor(torch.rand(1, *image.shape[1:], generator=RANDOM))

    def data():
        return {"image": image, "pred": p.clone()[0], "confidence": confidence.clone()}  # a part of a batch

    keys = ["pred", "confidence"]
    whole = Invertd(keys, preprocessing, orig_keys="image", nearest_interp=False, to_tensor=True)(data())
    given = data()
    held, batch = given["pred"], given["pred"]._base
    one_by_one = InvertByChanneld(keys, preprocessing)(given)
    for key in keys:
        torch.testing.assert_close(one_by_one[key].as_tensor(), whole[key].as_tensor())
        assert np.allclose(one_by_one[key].affine, whole[key].affine)
        assert one_by_one[key].applied_operations == whole[key].applied_operations
    assert [each.untyped_storage().nbytes() for each in (held, batch)] == [0, 0]
