"""M = sigmoid(own logit + a + sum of b f): what an untrained, a shifted and a scaled correction give."""

import pytest
import torch

from dam_components.networks import LocalCalibrationNet


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LocalCalibrationNet(3, in_channels=4, num_classes=3, channels=(16, 16), strides=(2, (2, 2, 1)))


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.cat([torch.randn(2, 3, 9, 8, 7).softmax(1), torch.rand(2, 1, 9, 8, 7)], 1)


def own_logit(x):
    return torch.logit(x[:, :3].amax(1, keepdim=True))


def test_untrained_it_is_the_softmax(network, x):
    torch.testing.assert_close(network(x).sigmoid(), x[:, :3].amax(1, keepdim=True))


def test_the_head_is_a_shift_and_a_weight_for_each_feature(network, x):
    # order: shift, 3 probabilities, image, 3 logarithms, own logit; features from the fifth on are scaled by 0.2
    bias = network.head.conv.bias.data
    assert bias.shape == (9,)
    bias[0] = 0.7
    torch.testing.assert_close(network(x), own_logit(x) + 0.7)
    bias.zero_()
    bias[4] = 2.0
    torch.testing.assert_close(network(x), own_logit(x) + 2 * x[:, 3:])
    bias.zero_()
    bias[6] = 5.0  # 5 * 0.2: the logarithm of the second class
    torch.testing.assert_close(network(x), own_logit(x) + x[:, 1:2].log())
    bias.zero_()
    bias[8] = -2.5  # local temperature scaling: half the logit
    torch.testing.assert_close(network(x), 0.5 * own_logit(x))


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
        ({"strides": (2, 2, (2, 2))}, "hold 3 ints"),
        ({"num_classes": 1}, "num_classes=1 and in_channels=3"),
        ({"num_classes": 4}, "num_classes=4 and in_channels=3"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LocalCalibrationNet(**options)


def test_another_number_of_channels_is_refused(network):
    with pytest.raises(ValueError, match=r"expects 4 channels .* got 5"):
        network(torch.rand(1, 5, 8, 8, 8))
