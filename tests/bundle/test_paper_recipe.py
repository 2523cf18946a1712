"""``experiments/paper.json`` is literal: each value against a table typed from the paper (Nie et al., AAAI 2019)."""

import math
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.blocks import Convolution

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"

# id of the configuration: value, where the paper has it
PAPER = {
    "patch_size": ([64, 64, 16], "Implementation Details: the input size of the segmentation network"),
    "gamma": (2.0, "below Eq. 7: we set gamma to 2"),
    "beta": (2.0, "below Eq. 9: it follows the settings of gamma"),
    "attention_floor": (0.0, "Eq. 9: F = (1 - M)^beta"),
    "attention_normalize": (False, "Eq. 8: F multiplies the cross entropy as it is"),
    "lambda_adv": (0.005, "below Eq. 11: 0.005 in our case"),
    "adversarial_interval": (1, "Eq. 11: in every step"),
    "confidence_target": ("adversarial", "Eq. 4: 1 for labels, 0 for S's output"),
    "confidence_band": (None, "Eq. 5: the sum is over all voxels"),
    "warmup_epochs": (0, "not mentioned: both networks train from the first step"),
    "learning_rate": (0.005, "Implementation Details: both initialized to 5e-3"),
    "confidence_learning_rate": (0.005, "Implementation Details: both initialized to 5e-3"),
    "weight_decay": (0.0001, "Implementation Details: 1e-4"),
    "clip_grad_norm": (None, "not mentioned"),
    "amp": (False, "not mentioned"),
}


@pytest.fixture(scope="module")
def parser():
    files = [str(CONFIGS / "train.json"), str(CONFIGS / "experiments" / "paper.json")]
    parser = ConfigParser()
    parser.read_config(files)
    parser.update({"bundle_root": "bundle", "device": "$torch.device('cpu')"})
    return parser


@pytest.mark.parametrize("name", PAPER)
def test_a_value_is_the_papers(parser, name):
    value, where = PAPER[name]
    assert parser.get_parsed_content(name) == value, where


def test_adam_with_its_defaults(parser):
    for name in ("optimizer", "confidence_optimizer"):
        optimizer = parser.get_parsed_content(name)
        assert type(optimizer) is torch.optim.Adam  # AdamW decays weights in another way
        group = optimizer.param_groups[0]
        assert (group["lr"], group["weight_decay"], group["betas"]) == (0.005, 0.0001, (0.9, 0.999))


@pytest.mark.parametrize("name, factor", [("lr_scheduler", 1 / 2), ("confidence_lr_scheduler", 1 / 5)])
def test_the_rate_of_s_is_halved_and_that_of_d_divided_by_five_every_three_epochs(parser, name, factor):
    scheduler = parser.get_parsed_content(name)
    rates = []
    for _ in range(9):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.005 * factor ** (epoch // 3) for epoch in range(9)])


def test_each_optimizer_has_its_own_network(parser):
    for name, network in (("optimizer", "network"), ("confidence_optimizer", "confidence_network")):
        held = {id(p) for group in parser.get_parsed_content(name).param_groups for p in group["params"]}
        assert held == {id(p) for p in parser.get_parsed_content(network).parameters()}


def test_sums_over_voxels_in_every_loss(parser):
    logits, labels = torch.randn(1, 3, 16, 16, 16), torch.randint(0, 3, (1, 1, 16, 16, 16))
    judged = torch.randn(1, 1, 16, 16, 16)
    size = judged.numel()
    adversarial = parser.get_parsed_content("adversarial_loss")(judged)
    assert adversarial.item() == pytest.approx(-judged.sigmoid().log().mean().item() * size, rel=1e-4)
    told = parser.get_parsed_content("confidence_loss")(judged, logits.softmax(1), labels, judged)
    expected = -(1 - judged.sigmoid()).log().sum() - judged.sigmoid().log().sum()
    assert told.item() == pytest.approx(expected.item(), rel=1e-4)
    loss = parser.get_parsed_content("loss").train()
    cross_entropy = torch.nn.functional.cross_entropy(logits, labels[:, 0], reduction="sum").item()
    assert abs(loss(logits, labels).item() - cross_entropy) <= 1.0 + 1e-4 * cross_entropy  # a Dice of at most 1 beside


def test_both_terms_of_the_hybrid_loss_weigh_one_and_take_in_the_background(parser):
    loss = parser.get_parsed_content("loss")
    assert (loss.lambda_dice, loss.lambda_ce, loss.w_type, loss.include_background) == (1.0, 1.0, "square", True)


def test_deep_supervision_at_three_scales(parser):
    S = parser.get_parsed_content("network_def").train()
    assert len(S(torch.rand(1, 1, 64, 64, 16))) == 3


def test_d_is_a_simplified_unet_of_half_the_feature_maps(parser):
    S, D = parser.get_parsed_content("network_def"), parser.get_parsed_content("confidence_network_def")
    widths = parser.get_parsed_content("channels")
    assert [stage.out_channels for stage in D.encoder] == [width // 2 for width in widths]
    assert all(isinstance(stage, Convolution) for stage in [*D.encoder, *D.decoder])  # one convolution a stage
    assert D.head.out_channels == 1
    assert len(widths) == 4
    assert D.literal
    assert sum(p.numel() for p in D.parameters()) < sum(p.numel() for p in S.parameters())


@pytest.mark.parametrize("name", ["network_def", "confidence_network_def"])
def test_xavier_weights_and_zero_biases(parser, name):
    for module in parser.get_parsed_content(name, instantiate=True).modules():
        if isinstance(module, torch.nn.Conv3d):
            fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(module.weight)
            limit = math.sqrt(6 / (fan_in + fan_out))
            assert module.weight.abs().max() <= limit * 1.0001
            assert module.weight.numel() < 100 or module.weight.abs().max() > 0.9 * limit
            assert module.bias is None or not module.bias.any()
