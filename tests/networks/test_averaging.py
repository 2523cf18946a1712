"""Means over flips and over folds: of probabilities, not of logits."""

import math

import pytest
import torch
from torch import nn

from dam_components.networks import FlipAverage, MeanEnsemble, load_averaged, log_mean_softmax


class Logits(nn.Module):
    """Gives the first voxel of each row along an axis as the second class's logit; sees nothing else."""

    def __init__(self, axis=2):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        first = x.narrow(self.axis, 0, 1).expand_as(x)
        return torch.cat([torch.zeros_like(x), first], 1)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_the_mean_is_of_probabilities():
    mean = log_mean_softmax([torch.tensor([[0.0, 4.0]]), torch.tensor([[0.0, 0.0]])]).softmax(1)
    assert mean[0, 1].item() == pytest.approx((sigmoid(4) + 0.5) / 2)  # the mean of logits: sigmoid(2)


def test_the_mean_of_certainties_stays_finite_and_in_float32():
    logs = log_mean_softmax([torch.tensor([[0.0, 300.0]], dtype=torch.bfloat16)] * 2)
    assert logs.dtype == torch.float32
    assert logs.tolist() == [[-300.0, 0.0]]


def test_one_axis_is_two_passes():
    x = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 3, 1)
    p = FlipAverage(Logits(), [0])(x).softmax(1)[0, 1, :, 0]
    # as it is the first voxel is 0, flipped it is 2
    assert p.tolist() == pytest.approx([(sigmoid(0) + sigmoid(2)) / 2] * 3)


def test_every_combination_of_axes_takes_part():
    passes = []

    class Recorder(Logits):
        def forward(self, x):
            passes.append(x.flatten().tolist())
            return super().forward(x)

    FlipAverage(Recorder(), [1, 0, 1])(torch.arange(4.0).view(1, 1, 2, 2))
    assert passes == [[0, 1, 2, 3], [2, 3, 0, 1], [1, 0, 3, 2], [3, 2, 1, 0]]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips_are_undone(axis):
    torch.manual_seed(0)
    S, x = FlipAverage(nn.Conv3d(1, 2, 3, padding=1), [axis]), torch.rand(1, 1, 4, 5, 6)
    torch.testing.assert_close(S(x.flip(axis + 2)).flip(axis + 2), S(x))


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"axes to flip must lie in 0..2, .* got \[0, 3\]"):
        FlipAverage(Logits(), [3, 0])
    with pytest.raises(ValueError, match="must lie in 0..1 for an image of 2 axes, got 2"):
        FlipAverage(Logits(), [2])(torch.zeros(1, 1, 2, 2))


def test_an_ensemble_is_the_mean_of_its_networks():
    x = torch.tensor([[3.0, 0.0], [1.0, 0.0]]).view(1, 1, 2, 2)
    p = MeanEnsemble([Logits(2), Logits(3)])(x).softmax(1)[0, 1]
    assert p[1, 1].item() == pytest.approx((sigmoid(0) + sigmoid(1)) / 2)
    with pytest.raises(ValueError, match="at least one network"):
        MeanEnsemble([])


@pytest.fixture
def files(tmp_path):
    names = [tmp_path / f"{i}.pt" for i in range(2)]
    for i, name in enumerate(names):
        torch.manual_seed(i)
        torch.save(nn.Conv2d(1, 2, 3, padding=1).state_dict(), name)
    return names


def test_one_file_is_the_network_itself(files):
    network = nn.Conv2d(1, 2, 3, padding=1)
    assert load_averaged(network, files[1]) is network
    assert torch.equal(network.weight, torch.load(files[1], weights_only=True)["weight"])


def test_files_and_flips_are_averaged_together(files):
    x = torch.rand(1, 1, 4, 4)
    single = [load_averaged(nn.Conv2d(1, 2, 3, padding=1), file) for file in files]
    expected = sum(S(x).softmax(1) + S(x.flip(3)).flip(3).softmax(1) for S in single) / 4
    averaged = load_averaged(nn.Conv2d(1, 2, 3, padding=1), files, [1])
    torch.testing.assert_close(averaged(x).softmax(1), expected)


def test_no_file_and_the_same_file_twice_are_refused(files):
    for wrong in ([], [files[0], str(files[0])]):
        with pytest.raises(ValueError, match="weights must name one file, or several different ones to average, got"):
            load_averaged(nn.Conv2d(1, 2, 3), wrong)
    with pytest.raises(FileNotFoundError, match="no weights at .*2.pt"):
        load_averaged(nn.Conv2d(1, 2, 3, padding=1), [files[0], files[0].with_name("2.pt")])
