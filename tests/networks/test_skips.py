"""Each skip of the networks carries what it should: silence the other branch, and what is left is the skip."""

import pytest
import torch
from torch import nn

from dam_components.networks import ConfidenceNet, DSResUNet, EnhancedUNet
from dam_components.networks.blocks import AttentionFusion, TransformationModule, conv_module

SMALL = {"channels": (4, 8, 16), "strides": (2, 2)}


def silence(module: nn.Module) -> None:
    """All convolutions give zeros, so that the branch through this module says nothing."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def influence(network: nn.Module, stage: nn.Module, x: torch.Tensor) -> bool:
    """Whether a change in a stage's output reaches the network's output."""
    with torch.no_grad():
        before = network(x)
        handle = stage.register_forward_hook(lambda module, inputs, output: output + torch.randn_like(output))
        after = network(x)
        handle.remove()
    return not torch.allclose(before, after)


def test_a_silent_transformation_module_hands_its_input_on():
    module = TransformationModule(3, 4)
    silence(module.body)
    x = torch.randn(1, 4, 6, 6, 6)
    assert torch.equal(module(x), x)


def test_a_silent_residual_module_hands_its_input_on():
    module = conv_module(3, 4, 4)
    silence(module.conv)
    x = torch.randn(1, 4, 6, 6, 6)
    assert torch.allclose(module(x), x)
    plain = conv_module(3, 4, 4, residual=False)
    silence(plain)
    assert not plain(x).any()


@pytest.mark.parametrize("build", [EnhancedUNet, DSResUNet])
def test_long_skips_reach_the_output_without_the_bottom(build):
    torch.manual_seed(0)
    S = build(3, 1, 2, **SMALL).eval()
    x = torch.randn(1, 1, 12, 12, 12)
    for i, reduce in enumerate(S.reduce if build is DSResUNet else [fuse.reduce for fuse in S.decoder]):
        kept = {name: value.clone() for name, value in reduce.state_dict().items()}
        silence(reduce)  # nothing comes from the coarser stages
        assert influence(S, S.encoder[len(S.encoder) - 2 - i], x)
        reduce.load_state_dict(kept)


def test_ds_res_u_net_adds_its_long_skip():
    torch.manual_seed(0)
    S = DSResUNet(3, 1, 2, **SMALL).eval()
    seen = {}
    S.decoder[-1].register_forward_pre_hook(lambda module, inputs: seen.update(joined=inputs[0]))
    S.encoder[0].register_forward_hook(lambda module, inputs, output: seen.update(low=output))
    silence(S.reduce[-1])
    S(torch.randn(1, 1, 12, 12, 12))
    assert torch.allclose(seen["joined"], seen["low"])


def test_the_long_skip_of_enunet_passes_its_transformation_module():
    torch.manual_seed(0)
    S = EnhancedUNet(3, 1, 2, **SMALL).eval()
    x = torch.randn(1, 1, 12, 12, 12)
    assert all(isinstance(skip, TransformationModule) and influence(S, skip, x) for skip in S.skips)


def test_the_fusion_weighs_high_and_low_channels_together():
    torch.manual_seed(0)
    fusion = AttentionFusion(3, 8, 4)
    high, low = torch.randn(1, 8, 3, 3, 3), torch.randn(1, 4, 6, 6, 6)
    seen = {}
    fusion.attention.register_forward_hook(lambda module, inputs, output: seen.update(x=inputs[0], y=output))
    fusion(high, low)
    assert torch.equal(seen["x"][:, 4:], low)
    weights = (seen["y"] / seen["x"]).flatten(2)
    assert torch.allclose(weights, weights.mean(2, keepdim=True), atol=1e-4)  # one weight a channel
    assert weights.mean(2).std() > 1e-3  # and not the same for all


def test_every_stage_of_d_reaches_its_output():
    torch.manual_seed(0)
    D = ConfidenceNet(3, 3, 2, channels=(4, 8, 16), strides=(2, 2), literal=True).eval()
    x = torch.rand(1, 3, 12, 12, 12)
    assert all(influence(D, stage, x) for stage in D.encoder)
    for i, reduce in enumerate(D.reduce):
        kept = {name: value.clone() for name, value in reduce.state_dict().items()}
        silence(reduce)
        assert influence(D, D.encoder[len(D.encoder) - 2 - i], x)
        reduce.load_state_dict(kept)
