"""D's logit is S's own, smoothed, plus a + sum of b f: what an untrained, a shifted and a scaled correction give."""

import pytest
import torch
from scipy.ndimage import correlate1d

from dam_components.networks import LocalCalibrationNet


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LocalCalibrationNet(3, in_channels=4, num_classes=3, channels=(16, 16), strides=(2, (2, 2, 1)))


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.cat([torch.randn(2, 3, 9, 8, 7).softmax(1), torch.rand(2, 1, 9, 8, 7)], 1)


def gaussian(x):
    for axis in (2, 3, 4):
        x = torch.from_numpy(correlate1d(x.numpy(), [0.25, 0.5, 0.25], axis, mode="nearest"))
    return x


def smoothed(x, times):
    levels = [x]
    for _ in range(times):
        levels.append(gaussian(levels[-1]))
    return levels[1:]


def predicted_logits(x, smoothings=3):
    """Of P̂'s largest class, in P̂ and in P̂ smoothed by SciPy, ``(2, 1 + smoothings, ...)``."""
    probabilities = x[:, :3]
    predicted = probabilities.argmax(1, keepdim=True)
    levels = [probabilities, *smoothed(probabilities, smoothings)]
    return torch.logit(torch.cat([level.gather(1, predicted) for level in levels], 1))


def test_untrained_it_is_the_mean_logit_of_smoothed_probabilities(network, x):
    torch.testing.assert_close(network(x), predicted_logits(x).mean(1, keepdim=True), rtol=1e-4, atol=1e-5)


def test_untrained_without_smoothing_it_is_the_softmax(x):
    network = LocalCalibrationNet(3, 4, 3, channels=(16, 16), strides=(2, 2), smoothings=0)
    torch.testing.assert_close(network(x).sigmoid(), x[:, :3].amax(1, keepdim=True))


def test_untrained_it_doubts_a_lone_voxel_more_than_the_softmax_does(network):
    x = torch.zeros(1, 4, 9, 9, 9)
    x[:, 0], x[:, 1] = 0.9, 0.1
    x[0, 0, 4, 4, 4], x[0, 1, 4, 4, 4] = 0.1, 0.9
    map_ = network(x).sigmoid()[0, 0]
    assert map_[4, 4, 4] < 0.5 < map_[0, 0, 0]


def test_where_classes_tie_it_judges_the_one_that_the_neighbours_call(network):
    x = torch.zeros(1, 4, 5, 5, 5)
    x[:, 0], x[:, 1], x[:, 2] = 0.1, 0.2, 0.7
    x[0, :3, 2, 2, 2] = torch.tensor([0.4, 0.2, 0.4])
    p = torch.logit(torch.tensor([0.4, *(float(q[0, 2, 2, 2, 2]) for q in smoothed(x[:, :3], 3))]))
    torch.testing.assert_close(network.predicted_logits(x[:, :3])[0, :, 2, 2, 2], p, rtol=1e-4, atol=1e-5)


def test_the_head_is_a_shift_and_a_weight_for_each_feature(network, x):
    # order: shift, the logit of S's class in P̂ and in P̂ smoothed 1, 2, 3 times, the image's detail and contrast
    logits = predicted_logits(x)
    start = logits.mean(1, keepdim=True)
    bias = network.head.conv.bias.data
    assert bias.shape == (7,)

    def is_(value, correction):
        bias.copy_(torch.tensor(value))
        torch.testing.assert_close(network(x), start + correction, rtol=1e-4, atol=1e-5)

    is_([0.7, 0, 0, 0, 0, 0, 0], 0.7)
    is_([0, -0.5, 0, 0, 0, 0, 0], -0.5 * logits[:, :1])  # local temperature scaling of P̂'s part
    is_([0, 0, 0, 2.0, 0, 0, 0], 2 * logits[:, 2:3])
    detail = x[:, 3:] - gaussian(gaussian(x[:, 3:]))
    is_([0, 0, 0, 0, 0, 2.0, 0], 2 * detail)
    is_([0, 0, 0, 0, 0, 0, 2.0], 2 * (gaussian(gaussian(detail**2)) + 1e-6).sqrt())


def test_the_coefficients_come_from_the_surroundings(network, x):
    torch.nn.init.normal_(network.head.conv.weight)
    changed = x.clone()
    changed[:, 3, 0, 0, 0] += 3.0
    difference = (network(changed) - network(x)).abs()
    assert difference[:, 0, 1, 1, 1].min() > 1e-4  # a neighbour hears of it


def test_every_convolution_over_space_works_on_the_coarse_grid(network, x):
    sizes = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[2:])))
    assert network(x).shape == (2, 1, 9, 8, 7)
    assert set(sizes) == {(5, 4, 4), (3, 2, 4)}


def test_a_sure_voxel_stays_finite_in_half_precision(network):
    x = torch.zeros(1, 4, 4, 4, 4)
    x[:, 0] = 1.0
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(network(x)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": (2,)}, "one entry for each of the channels: got 1 strides for 3 channels"),
        ({"strides": ()}, "got 0 strides"),
        ({"smoothings": -1}, "smoothings must be at least 0, got -1"),
        ({"strides": (2, 2, (2, 2))}, "hold 3 ints"),
        ({"num_classes": 1}, "num_classes.*got 1: classes must exclude each other"),
        ({"num_classes": 4}, "num_classes=4 and in_channels=3"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LocalCalibrationNet(**options)


def test_another_number_of_channels_is_refused(network):
    with pytest.raises(ValueError, match=r"expects 4 channels .* got 5"):
        network(torch.rand(1, 5, 8, 8, 8))


def test_thick_slices_are_not_smoothed_into_each_other():
    network = LocalCalibrationNet(3, 4, 3, channels=(16, 16), strides=((2, 2, 1), 2))
    x = torch.zeros(1, 4, 6, 6, 6)
    x[:, 0] = 1.0
    x[:, :2, :, :, 3] = 0.5
    map_ = network(x)[0, 0]
    assert (map_[:, :, [2, 4]] == map_[0, 0, 0]).all()
    assert (map_[:, :, 3] < map_[0, 0, 0]).all()
