"""What S says of its errors when it runs several times."""

import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

from dam_components.confidence.doubt_scores import make_scores
from dam_components.networks import EnhancedUNet
from dam_study.confidence.rival_scores import RIVALS, check_names, dropout_on_features, make_rivals
from tests.confidence.fixed_network import Fixed, setup_case


def score(name, segmenter, case, **options):
    return make_rivals(segmenter, **options)[name](case)


def test_ensemble_doubts_what_plain_s_called():
    segmenter, case = setup_case()
    # the member calls the opposite: the mean says 1/2 everywhere
    doubt = score("ensemble", segmenter, case, others=[Fixed(-1.0)])
    assert torch.allclose(doubt, torch.full_like(doubt, 0.5))
    # two such members outvote S: mean probability of S's call is (p + 2 (1 - p)) / 3
    p = case.image.abs().sigmoid()
    doubt = score("ensemble", segmenter, case, others=[Fixed(-1.0), Fixed(-1.0)])
    assert torch.allclose(doubt, 1 - (p + 2 * (1 - p)) / 3)


class Positional(nn.Module):
    """Logit that depends on the place along each axis, so that flips change it."""

    def forward(self, x):
        ramp = torch.linspace(-2, 2, x.shape[2])[:, None] + torch.linspace(-1, 1, x.shape[3])
        return torch.cat([torch.zeros_like(x), x + ramp], dim=1)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_flips_are_the_mean_over_all_combinations_turned_back(axes):
    image = torch.randn(1, 1, 4, 6)
    segmenter, case = setup_case(Positional(), image)
    ramps = {
        (a, b): (-1) ** a * torch.linspace(-2, 2, 4)[:, None] + (-1) ** b * torch.linspace(-1, 1, 6)
        for a in range(1 + (0 in axes))
        for b in range(1 + (1 in axes))
    }
    second = torch.stack([(image + ramp).sigmoid() for ramp in ramps.values()]).mean(0)
    expected = torch.where(case.predicted == 1, 1 - second, second)
    assert torch.allclose(score("flips", segmenter, case, flip_axes=axes), expected, atol=1e-6)


def make_unet():
    torch.manual_seed(0)
    return EnhancedUNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,))


def test_mc_dropout_is_seeded_and_leaves_network_and_random_state_alone():
    segmenter, case = setup_case(make_unet(), torch.randn(1, 1, 8, 8))
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = score("mc_dropout", segmenter, case, passes=3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, score("mc_dropout", segmenter, case, passes=3))
    assert torch.equal(segmenter(case.image), case.logits)
    assert not torch.equal(first, make_scores(["softmax"], lambda p, x: x)["softmax"](case))


@pytest.mark.parametrize("option", [{"seed": 1}, {"passes": 4}, {"dropout": 0.5}])
def test_mc_dropout_options_matter(option):
    segmenter, case = setup_case(make_unet(), torch.randn(1, 1, 8, 8))
    plain = score("mc_dropout", segmenter, case, passes=3)
    assert not torch.equal(plain, score("mc_dropout", segmenter, case, **({"passes": 3} | option)))


def test_dropout_drops_whole_maps_of_the_decoder():
    network, maps = make_unet().eval(), []
    with dropout_on_features(network, 0.5), torch.random.fork_rng():
        torch.manual_seed(0)
        network.heads.register_forward_pre_hook(lambda _, args: maps.append(args[0][-1]))
        for _ in range(5):
            network(torch.randn(1, 1, 8, 8))
    empty = torch.stack([(features == 0).flatten(2).float().mean(2) for features in maps])
    assert set(empty.unique().tolist()) == {0.0, 1.0}


def test_dropout_follows_activations_where_there_is_no_decoder():
    network = UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,)).eval()
    image = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        plain = network(image)
        with dropout_on_features(network, 0.5):
            assert not torch.equal(network(image), plain)
        assert torch.equal(network(image), plain)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="rivals must be of softmax, entropy, .*or all, got 'magic'"):
        check_names(["D", "magic"], members=0)
    with pytest.raises(ValueError, match="give --ensemble a.pt,b.pt"):
        check_names(["ensemble"], members=0)
    check_names(["D", "ensemble"], members=1)
    with pytest.raises(ValueError, match="Fixed has neither a decoder nor an activation"):
        score("mc_dropout", *setup_case())
    with pytest.raises(ValueError, match="dropout must be between 0 and 1, got 0"), dropout_on_features(make_unet(), 0):
        pass


def test_every_rival_is_doubt_of_each_voxel():
    segmenter, case = setup_case(make_unet(), torch.randn(1, 1, 8, 8))
    rivals = make_rivals(segmenter, [make_unet()])
    assert [*rivals] == [*RIVALS]
    for doubt in (each(case) for each in rivals.values()):
        assert doubt.shape == (1, 1, 8, 8)
        assert 0 <= doubt.min() <= doubt.max() <= 1
