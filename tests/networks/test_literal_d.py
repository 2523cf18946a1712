"""D as the paper has it: what ``literal`` leaves out, each by a test that fails if it came back."""

import math

import pytest
import torch

from dam_components.networks import ConfidenceNet


@pytest.fixture
def D():
    torch.manual_seed(0)
    return ConfidenceNet(3, in_channels=4, num_classes=3, channels=(8, 16, 32), strides=(2, 2), literal=True)


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, torch.nn.Conv3d)]


def test_it_sees_p_and_x_and_nothing_else(D):
    assert convolutions(D)[0].in_channels == 4
    x = torch.rand(1, 4, 8, 8, 8)
    assert torch.equal(D.features(x), x)


def test_xavier_is_that_of_its_own_channels(D):
    weight = convolutions(D)[0].weight
    limit = math.sqrt(6 / ((4 + 8) * 27))
    assert 0.95 * limit < weight.abs().max() <= limit


def test_every_stage_of_the_decoder_has_a_convolution_of_three(D):
    assert [stage.conv.kernel_size for stage in D.decoder] == [(3, 3, 3)] * 2


def test_voxels_without_probabilities_stay_zero(D):
    x = torch.rand(1, 4, 8, 8, 8)
    x[:, :3, :2] = 0
    seen = {}
    D.encoder[0].register_forward_pre_hook(lambda module, inputs: seen.update(x=inputs[0]))
    D(x)
    assert torch.equal(seen["x"], x)


def test_half_of_the_softmax_is_not_added(D):
    torch.nn.init.zeros_(D.head.conv.weight)
    assert not D(torch.rand(1, 4, 8, 8, 8)).any()
