"""Padding to a multiple, and back."""

import pytest
import torch
from monai.networks.nets import VNet
from torch import nn

from dam_components.networks import PaddedNetwork


class Spy(nn.Module):
    def forward(self, x):
        self.seen = x
        return x * 2


@pytest.mark.parametrize(("size", "seen"), [((5, 8, 3), (8, 8, 4)), ((4, 4, 4), (4, 4, 4))])
def test_the_network_sees_multiples_of_k_and_the_output_has_the_inputs_size(size, seen):
    spy = Spy()
    x = torch.rand(2, 3, *size)
    y = PaddedNetwork(spy, k=4)(x)
    assert tuple(spy.seen.shape) == (2, 3, *seen)
    torch.testing.assert_close(y, 2 * x)  # what comes back is what lay under the image, not beside it


def test_zeros_go_to_both_ends():
    spy = Spy()
    PaddedNetwork(spy, k=4)(torch.ones(1, 1, 5))
    assert spy.seen[0, 0].tolist() == [0, 1, 1, 1, 1, 1, 0, 0]


def test_a_fitting_input_gives_what_the_network_alone_gives():
    torch.manual_seed(0)
    network = VNet(spatial_dims=2, out_channels=2).eval()
    x = torch.rand(1, 1, 32, 16)
    torch.testing.assert_close(PaddedNetwork(network)(x), network(x))


def test_k_below_1_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        PaddedNetwork(Spy(), k=0)
