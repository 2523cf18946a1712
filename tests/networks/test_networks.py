"""One contract that all networks here pass, and what is particular to each."""

import pytest
import torch

from dam_components.networks import ConfidenceNet, DSResUNet, EnhancedUNet, LocalCalibrationNet

SMALL = {"channels": (4, 8, 16, 16), "strides": (2, 2, 2)}
NETWORKS = {
    "enhanced_unet": lambda dims: EnhancedUNet(dims, in_channels=3, out_channels=2, **SMALL),
    "ds_res_unet": lambda dims: DSResUNet(dims, in_channels=3, out_channels=2, **SMALL),
    "confidence_net": lambda dims: ConfidenceNet(dims, in_channels=3, num_classes=2, residual=False, **SMALL),
    "literal_confidence_net": lambda dims: ConfidenceNet(dims, 3, 2, literal=True, **SMALL),
    "local_calibration_net": lambda dims: LocalCalibrationNet(dims, 3, 2, channels=(8, 16), strides=(2, 2)),
}


def image(dims, size=(16, 12, 9)):
    torch.manual_seed(0)
    return torch.rand(2, 3, *size[:dims])


@pytest.fixture(params=NETWORKS)
def build(request):
    torch.manual_seed(0)
    return NETWORKS[request.param]


@pytest.mark.parametrize("dims", [2, 3])
def test_every_parameter_gets_a_gradient_at_odd_sizes(build, dims):
    network = build(dims)
    x = image(dims)
    out = network(x)
    sum(o.square().mean() for o in (out if isinstance(out, list) else [out])).backward()
    # a bias in front of an instance norm has no effect, hence no gradient to speak of: existence is what is asked
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert network.eval()(x).shape[2:] == x.shape[2:]


@pytest.mark.parametrize("dims", [2, 3])
def test_torchscript_agrees_in_both_modes(build, dims):
    network, x = build(dims), image(dims)
    scripted = torch.jit.script(network)
    for mode in (True, False):
        torch.testing.assert_close(scripted.train(mode)(x), network.train(mode)(x))


def test_state_dict_round_trip_gives_the_same_output(build, tmp_path):
    network, x = build(3).eval(), image(3)
    for parameter in network.parameters():  # no longer as any seed starts it
        parameter.data.add_(0.1 * torch.rand_like(parameter))
    torch.save(network.state_dict(), tmp_path / "model.pt")
    torch.manual_seed(1)
    other = build(3).eval()
    assert not torch.equal(other(x), network(x))
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    torch.testing.assert_close(other(x), network(x))


def test_xavier_weights_and_zero_biases(build):
    for name, parameter in build(3).named_parameters():
        if name.endswith("bias") or (name.startswith("head") and build is NETWORKS["local_calibration_net"]):
            assert parameter.abs().max() == 0, name
        elif parameter.ndim > 1:
            fan_out, fan_in = parameter.shape[0], parameter.shape[1]
            window = parameter[0, 0].numel()
            bound = (6 / ((fan_in + fan_out) * window)) ** 0.5
            assert parameter.abs().max() <= bound, name
            assert parameter.numel() < 200 or parameter.abs().max() > 0.9 * bound, name


@pytest.mark.parametrize("network", [EnhancedUNet, DSResUNet, ConfidenceNet])
def test_strides_that_do_not_fit_are_named(network):
    with pytest.raises(ValueError, match="got 1 strides for 3 channels"):
        network(channels=(4, 8, 16), strides=(2,))
    with pytest.raises(ValueError, match=r"3 ints \(spatial_dims\), got \(2, 2\)"):
        network(spatial_dims=3, channels=(4, 8), strides=((2, 2),))


@pytest.mark.parametrize("network", [EnhancedUNet, DSResUNet])
def test_deep_supervision_gives_three_scales_in_training_only(network):
    x = torch.rand(1, 1, 16, 16, 8)
    kwargs = {"channels": (4, 8, 16, 16), "strides": ((2, 2, 1), 2, 2)}
    deep = network(3, 1, 2, **kwargs)
    assert [tuple(o.shape[2:]) for o in deep(x)] == [(16, 16, 8), (8, 8, 8), (4, 4, 4)]
    assert deep.eval()(x).shape == (1, 2, 16, 16, 8)
    assert network(3, 1, 2, deep_supervision=False, **kwargs)(x).shape == (1, 2, 16, 16, 8)


@pytest.mark.parametrize(
    "switch", [{"residual": False}, {"dilations": (1, 1)}, {"transformation": False}, {"channel_attention": False}]
)
def test_each_technique_of_enunet_matters(switch):
    x = torch.rand(1, 1, 16, 16, 16)

    def output(**kwargs):
        torch.manual_seed(0)
        return EnhancedUNet(3, 1, 2, deep_supervision=False, **SMALL, **kwargs)(x)

    assert not torch.allclose(output(), output(**switch), atol=1e-5)


def test_enunet_wants_a_dilated_module():
    with pytest.raises(ValueError, match="dilations must name at least one"):
        EnhancedUNet(dilations=())


@pytest.mark.parametrize("option", ["norm", "act"])
@pytest.mark.parametrize("network", [EnhancedUNet, DSResUNet, ConfidenceNet, LocalCalibrationNet])
def test_norm_and_act_reach_every_stage(network, option):
    kinds = {"norm": ("BATCH", torch.nn.BatchNorm3d), "act": ("RELU", torch.nn.ReLU)}
    name, kind = kinds[option]
    default = {"norm": torch.nn.InstanceNorm3d, "act": torch.nn.LeakyReLU}[option]
    modules = list(network(**{option: name}).modules())
    assert any(isinstance(m, kind) for m in modules)
    assert not any(isinstance(m, default) for m in modules)


def test_confidence_net_without_image_ignores_it():
    probabilities = torch.rand(1, 2, 16, 16, 16).softmax(1)
    images = torch.rand(2, 1, 1, 16, 16, 16)
    for use_image in (True, False):
        D = ConfidenceNet(3, 3, 2, **SMALL, use_image=use_image, residual=False).eval()
        first, second = (D(torch.cat([probabilities, x], 1)) for x in images)
        assert torch.equal(first, second) is (not use_image)


def test_confidence_net_tells_small_probabilities_apart_by_their_logarithms():
    # 1e-3 against 1e-5: 0.001 apart as probabilities, 0.92 apart in the scaled logarithm
    def spread(log_probabilities):
        D = ConfidenceNet(3, 2, 2, **SMALL, log_probabilities=log_probabilities)
        a, b = (torch.tensor([1 - p, p]).view(1, 2, 1, 1, 1).expand(1, 2, 4, 4, 4) for p in (1e-3, 1e-5))
        return (D.features(a) - D.features(b)).abs().max().item()

    assert spread(False) == pytest.approx(0.00099, rel=1e-3)
    assert spread(True) == pytest.approx(0.2 * 4.60517, rel=0.01)


def test_confidence_net_says_which_channels_it_expects():
    with pytest.raises(ValueError, match=r"num_classes=4 and in_channels=3"):
        ConfidenceNet(in_channels=3, num_classes=4)
    with pytest.raises(ValueError, match=r"expects 3 channels .* got 5"):
        ConfidenceNet(3, in_channels=3, num_classes=2)(torch.rand(1, 5, 8, 8, 8))


def test_an_untrained_residual_d_is_the_softmax():
    probabilities = torch.rand(1, 3, 16, 16, 16).softmax(1)
    x = torch.cat([probabilities, torch.rand(1, 1, 16, 16, 16)], 1)
    M = ConfidenceNet(3, 4, 3, **SMALL)(x).sigmoid()
    torch.testing.assert_close(M, probabilities.amax(1, keepdim=True))
    assert not torch.allclose(ConfidenceNet(3, 4, 3, **SMALL, residual=False)(x).sigmoid(), M)


def test_input_channels_are_filled_up_with_zeros_to_sixteen():
    D = ConfidenceNet(3, 4, 3, **SMALL)
    features = D.features(torch.rand(1, 4, 4, 4, 4) + 0.1)
    assert features.shape[1] == 16
    # 3 probabilities, 1 image, 3 logarithms, 1 logit
    assert features[:, 8:].abs().max() == 0
    assert features[:, :8].abs().amax((0, 2, 3, 4)).min() > 0


@pytest.mark.parametrize("network", ["confidence_net", "local_calibration_net"])
def test_what_a_sliding_window_pads_is_background_to_d(network):
    torch.manual_seed(0)
    D = NETWORKS[network](3).eval()
    for parameter in D.parameters():
        parameter.data.add_(0.1 * torch.rand_like(parameter))
    small = torch.cat([torch.rand(1, 2, 8, 8, 8).softmax(1), torch.rand(1, 1, 8, 8, 8)], 1)
    zeros = torch.nn.functional.pad(small, (4,) * 6)  # as SlidingWindowInferer does
    background = zeros.clone()
    background[:, 0][zeros[:, :2].sum(1) == 0] = 1
    assert not torch.equal(zeros, background)
    torch.testing.assert_close(D(zeros), D(background))
