"""An image goes through the network that did not learn from its part, and through no other."""

import pytest
import torch
from torch import nn

from dam_components.networks import CrossFitted, load_cross_fitted


class Adds(nn.Module):
    """Marks its input, and counts how often it runs."""

    def __init__(self, amount):
        super().__init__()
        self.amount, self.runs = amount, 0

    def forward(self, x):
        self.runs += 1
        return torch.cat([x + self.amount, x], dim=1)


def test_each_image_goes_through_the_network_of_its_part():
    networks = [Adds(10), Adds(20), Adds(30)]
    images = torch.arange(4.0).view(4, 1, 1, 1)
    out = CrossFitted(networks)(images, torch.tensor([2, 0, 2, 1]))
    assert out[:, 0, 0, 0].tolist() == [30, 11, 32, 23]  # 0 + 30, 1 + 10, 2 + 30, 3 + 20
    assert out[:, 1, 0, 0].tolist() == [0, 1, 2, 3]
    assert [network.runs for network in networks] == [1, 1, 1], "the two images of part 2 share one run"


def test_a_part_that_no_image_has_costs_nothing():
    networks = [Adds(1), Adds(2)]
    CrossFitted(networks)(torch.zeros(2, 1, 2, 2), torch.tensor([1, 1]))
    assert [network.runs for network in networks] == [0, 1]


def test_parts_without_a_network_and_unequal_numbers_are_refused():
    network = CrossFitted([Adds(1), Adds(2)])
    with pytest.raises(ValueError, match=r"parts must be below 2, the number of networks, got \[2\]"):
        network(torch.zeros(2, 1, 2, 2), torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="2 images need as many parts, got 1"):
        network(torch.zeros(2, 1, 2, 2), torch.tensor([0]))
    with pytest.raises(ValueError, match="one network for each part, got none"):
        CrossFitted([])


def test_weights_of_each_part_come_from_its_file(tmp_path):
    network, files = nn.Conv2d(1, 1, 1, bias=False), []
    for part in range(2):
        files.append(tmp_path / f"part{part}.pt")
        torch.save({"weight": torch.full((1, 1, 1, 1), part + 1.0)}, files[-1])
    before = network.weight.clone()
    loaded = load_cross_fitted(network, files)
    assert loaded(torch.ones(2, 1, 1, 1), [1, 0]).flatten().tolist() == [2, 1]
    assert torch.equal(network.weight, before)
    with pytest.raises(FileNotFoundError, match="no weights at .*missing.pt"):
        load_cross_fitted(network, [tmp_path / "missing.pt"])
