import pytest
import torch
from monai.inferers import SimpleInferer
from monai.networks.nets import UNet
from torch import nn

from dam_components.confidence.doubt_scores import SCORES, Segmentation, Segmenter, dropout_on_features, make_scores
from dam_components.networks import EnhancedUNet


class Fixed(nn.Module):
    """Logits that are weights: two classes, the second's logit is the image times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return torch.cat([torch.zeros_like(x), self.factor * x], dim=1)


def setup_case(network=None, image=None):
    segmenter = Segmenter(network or Fixed(), SimpleInferer())
    image = torch.tensor([[[2.0, -1.0, 0.5, 0.0]]]) if image is None else image
    return segmenter, Segmentation.of(image, segmenter)


def score(name, segmenter, case, **options):
    confidence = options.pop("confidence", lambda probabilities, image: torch.ones_like(image))
    return make_scores([name], segmenter, confidence, **options)[name](case)


def test_segmentation_holds_what_s_said():
    _, case = setup_case()
    assert case.predicted.flatten().tolist() == [1, 0, 1, 0]
    assert torch.allclose(case.probabilities[:, 1:], case.image.sigmoid())


def test_d_is_one_minus_confidence_of_probabilities_and_image():
    segmenter, case = setup_case()
    doubt = score("D", segmenter, case, confidence=lambda p, x: p[:, 1:] * (x > 0))
    assert torch.allclose(doubt, 1 - case.image.sigmoid() * (case.image > 0))


def test_softmax_and_temperature_by_hand():
    segmenter, case = setup_case()
    assert torch.allclose(score("softmax", segmenter, case), (-case.image.abs()).sigmoid())
    assert torch.allclose(score("temperature", segmenter, case, temperature=2.0), (-case.image.abs() / 2).sigmoid())


def test_entropy_is_one_where_s_knows_nothing():
    segmenter, case = setup_case()
    assert score("entropy", segmenter, case).flatten()[3] == 1


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
    assert not torch.equal(first, score("softmax", segmenter, case))


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
    segmenter, case = setup_case()
    with pytest.raises(ValueError, match="rivals must be of softmax, entropy, .*or all, got 'magic'"):
        make_scores(["D", "magic"], segmenter, lambda p, x: p)
    with pytest.raises(ValueError, match="give --ensemble a.pt,b.pt"):
        make_scores(["ensemble"], segmenter, lambda p, x: p)
    with pytest.raises(ValueError, match="untrained needs a D that has learnt nothing"):
        make_scores(["untrained"], segmenter, lambda p, x: p)
    with pytest.raises(ValueError, match="Fixed has neither a decoder nor an activation"):
        score("mc_dropout", segmenter, case)
    with pytest.raises(ValueError, match="dropout must be between 0 and 1, got 0"), dropout_on_features(make_unet(), 0):
        pass


def test_every_score_is_doubt_of_each_voxel():
    segmenter, case = setup_case(make_unet(), torch.randn(1, 1, 8, 8))
    judges = (lambda p, x: p[:, :1]), (lambda p, x: p[:, 1:])
    scores = make_scores([*SCORES], segmenter, judges[0], 1.5, [make_unet()], untrained=judges[1])
    assert [*scores] == [*SCORES]
    for doubt in (each(case) for each in scores.values()):
        assert doubt.shape == (1, 1, 8, 8)
        assert doubt.min() >= 0 and doubt.max() <= 1
    for name, judge in zip(("D", "untrained"), judges, strict=True):
        assert torch.equal(scores[name](case), 1 - judge(case.probabilities, case.image))
