"""ConfidenceMapd: M = sigmoid(D(P + X)), wherever it runs."""

import pytest
import torch
from monai.data import MetaTensor, decollate_batch
from monai.inferers import SlidingWindowInferer
from monai.transforms import Compose, EnsureChannelFirstd, Invertd, Orientationd, Spacingd
from torch import nn

from dam_components.engines import AutocastInferer
from dam_components.networks import ConfidenceNet
from dam_components.transforms import ConfidenceMapd


class Sum(nn.Module):
    """A D whose judgement is known: the sum of its input's channels, voxel by voxel."""

    def __init__(self, dims):
        super().__init__()
        conv = (nn.Conv2d, nn.Conv3d)[dims - 2]
        self.conv = conv(3, 1, kernel_size=1, bias=False)
        nn.init.ones_(self.conv.weight)

    def forward(self, x):
        return self.conv(x)


def case(*shape):
    torch.manual_seed(0)
    return {"pred": torch.rand(2, *shape).softmax(0), "image": torch.randn(1, *shape)}


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4)], ids=["2D", "3D"])
def test_it_is_the_sigmoid_of_d(shape):
    data = case(*shape)
    confidence = ConfidenceMapd("pred", Sum(len(shape)))(data)["confidence"]
    # the probabilities add up to 1, so the sum over the channels is 1 + X
    torch.testing.assert_close(confidence, (1 + data["image"]).sigmoid())
    assert sorted(data) == ["image", "pred"]  # the input is left as it was


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4)], ids=["2D", "3D"])
def test_a_batch_is_judged_case_by_case(shape):
    D = ConfidenceNet(len(shape), in_channels=3, num_classes=2, channels=(4, 8), strides=(2,))
    one, two = case(*shape), case(*shape)
    two["image"] = two["image"] + 1
    batch = {key: torch.stack([one[key], two[key]]) for key in one}
    confidence = ConfidenceMapd("pred", D)(batch)["confidence"]
    assert confidence.shape == (2, 1, *shape)
    for item, alone in zip(confidence, (one, two), strict=True):
        torch.testing.assert_close(item, ConfidenceMapd("pred", D)(alone)["confidence"])


def test_parameters_that_are_no_kernels_do_not_hide_the_dimensions():
    """As the position embeddings, (1, N, C), with which MONAI's UNETR begins."""

    class Positioned(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions = nn.Parameter(torch.zeros(1, 4, 8))
            self.inner = Sum(3)

        def forward(self, x):
            return self.inner(x)

    data = case(6, 5, 4)
    confidence = ConfidenceMapd("pred", Positioned())(data)["confidence"]
    torch.testing.assert_close(confidence, (1 + data["image"]).sigmoid())


@pytest.mark.parametrize(("amp", "dtype"), [(False, torch.float32), (True, torch.bfloat16)])
def test_d_runs_in_the_precision_asked_for_whatever_is_set_outside(amp, dtype):
    D, data, seen = Sum(3), case(6, 5, 4), []
    D.conv.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16, enabled=not amp):
        confidence = ConfidenceMapd("pred", D, amp=amp)(data)["confidence"]
    assert seen == [dtype]
    assert confidence.dtype == torch.float32
    torch.testing.assert_close(confidence, (1 + data["image"]).sigmoid(), atol=0.01, rtol=0)


def test_d_is_run_in_evaluation_mode_without_gradients_and_keys_are_options():
    D = nn.Sequential(Sum(2), nn.Dropout(0.9)).train()
    data = {"p": case(6, 5)["pred"].requires_grad_(), "x": case(6, 5)["image"]}
    transform = ConfidenceMapd("p", D, image_key="x", output_key="trust", device="cpu")
    confidence = transform(data)["trust"]
    assert not D.training
    assert not confidence.requires_grad
    torch.testing.assert_close(confidence, (1 + data["x"]).sigmoid())  # nothing was dropped


def test_a_sliding_window_agrees_with_the_whole_volume():
    data = case(20, 12, 9)
    whole = ConfidenceMapd("pred", Sum(3))(data)["confidence"]
    windows = ConfidenceMapd("pred", Sum(3), inferer=SlidingWindowInferer((8, 8, 8), overlap=0.5, mode="gaussian"))
    torch.testing.assert_close(windows(data)["confidence"], whole)  # Sum looks at one voxel, so no window matters

    seen = []

    class Spy(SlidingWindowInferer):
        def __call__(self, inputs, network, *args, **kwargs):
            seen.append(tuple(inputs.shape))
            return super().__call__(inputs, network, *args, **kwargs)

    ConfidenceMapd("pred", Sum(3), inferer=Spy((8, 8, 8)))(data)
    assert seen == [(1, 2, 20, 12, 9)]  # P alone: X joins it window by window
    seen.clear()
    ConfidenceMapd("pred", Sum(3), inferer=Spy((8, 16, 8)))(data)
    assert seen == [(1, 3, 20, 12, 9)]  # together where the volume must be padded
    seen.clear()
    wrapped = ConfidenceMapd("pred", Sum(3), inferer=AutocastInferer(Spy((8, 8, 8)), amp=False))
    torch.testing.assert_close(wrapped(data)["confidence"], whole)
    assert seen == [(1, 2, 20, 12, 9)]  # as the bundle has it


def test_invertd_brings_it_back_to_the_image(tmp_path):
    affine = torch.diag(torch.tensor([-2.0, -2.0, 4.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.rand(10, 12, 6), affine=affine, meta={"original_channel_dim": float("nan")})
    before = Compose(
        [
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS", labels=None),
            Spacingd("image", pixdim=(1.0, 1.0, 2.0)),
        ]
    )
    data = before({"image": image})
    assert data["image"].shape[1:] != image.shape
    # a D that says how far to the right a voxel lies in RAS; the image's own x runs to the left
    ramp = torch.linspace(0, 1, data["image"].shape[1]).view(1, -1, 1, 1).expand(data["image"].shape).clone()
    data["pred"] = torch.stack([ramp[0], 1 - ramp[0]])
    D = Sum(3)
    with torch.no_grad():
        D.conv.weight[0, :, 0, 0, 0] = torch.tensor([4.0, -4.0, 0.0])
    after = Compose(
        [
            ConfidenceMapd("pred", D),
            Invertd("confidence", before, orig_keys="image", nearest_interp=False),
        ]
    )
    confidence = after(data)["confidence"]
    assert isinstance(confidence, MetaTensor)
    assert confidence.shape == (1, 10, 12, 6)
    torch.testing.assert_close(confidence.affine, affine)
    along_x = confidence[0, :, 5, 3]
    assert (along_x.diff() < 0).all()
    assert along_x[0] > 0.9
    assert along_x[-1] < 0.1


def test_a_collated_metatensor_can_be_taken_apart():
    batch = {key: MetaTensor(value[None]) for key, value in case(6, 5, 4).items()}
    result = ConfidenceMapd("pred", Sum(3))(batch)
    assert decollate_batch(result)[0]["confidence"].shape == (1, 6, 5, 4)


def test_shapes_must_agree():
    data = {"pred": torch.rand(2, 6, 5), "image": torch.rand(1, 6, 4)}
    with pytest.raises(ValueError, match=r"\(2, 6, 5\) and image \(1, 6, 4\).*before the inversion"):
        ConfidenceMapd("pred", Sum(2))(data)


def test_d_must_be_made_for_these_channels():
    D = ConfidenceNet(2, in_channels=4, num_classes=3, channels=(4, 8), strides=(2,))
    with pytest.raises(ValueError, match="D expects 4 channels .* got 3"):
        ConfidenceMapd("pred", D)(case(6, 5))


def test_one_key_and_missing_keys():
    with pytest.raises(ValueError, match=r"one key, got \['pred', 'label'\]"):
        ConfidenceMapd(["pred", "label"], Sum(2))
    with pytest.raises(KeyError):
        ConfidenceMapd("pred", Sum(2))({"image": torch.rand(1, 6, 5)})
    untouched = ConfidenceMapd("pred", Sum(2), allow_missing_keys=True)({"image": torch.rand(1, 6, 5)})
    assert [*untouched] == ["image"]
