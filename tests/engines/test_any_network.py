"""Other networks as S, other losses, two dimensions, MONAI's tensors."""

from statistics import mean

import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, from_engine
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet, SegResNet, SwinUNETR, UNet, VNet
from monai.transforms import Activationsd, AsDiscreted, Compose
from torch.nn import functional

from dam_components.networks import EnhancedUNet
from dam_components.transforms import ConfidenceMapd


def enhanced_unet():
    return EnhancedUNet(3, 1, 2, (4, 8, 8), (2, 2))  # a list of logits


def dynunet(dims=3, supervised=True):
    kernels, strides = [3, 3, 3, 3], [1, 2, 1, 2]
    return DynUNet(
        dims, 1, 2, kernels, strides, strides[1:], filters=[4, 4, 8, 8], deep_supervision=supervised, deep_supr_num=2
    )


def enhanced_unet_2d():
    return EnhancedUNet(2, 1, 2, (4, 8, 8), (2, 2))


# a network, its dimensions, and how many scales its loss sees
NETWORKS = {
    "UNet": (lambda: UNet(3, 1, 2, (4, 8), (2,)), 3, None),
    "UNet 2D": (lambda: UNet(2, 1, 2, (4, 8), (2,)), 2, None),
    "SegResNet": (lambda: SegResNet(3, 8, 1, 2, blocks_down=(1, 1), blocks_up=(1,)), 3, None),
    "DynUNet": (lambda: dynunet(supervised=False), 3, None),
    "DynUNet, deep supervision": (dynunet, 3, 3),
    "DynUNet 2D, deep supervision": (lambda: dynunet(2), 2, 3),
    "EnhancedUNet": (enhanced_unet, 3, 2),
    "EnhancedUNet 2D": (enhanced_unet_2d, 2, 2),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("amp", [False, True])
def test_any_network_can_be_s(build, state, name, amp, recorder):
    make_s, dims, scales = NETWORKS[name]
    torch.manual_seed(0)
    S, loss = make_s(), recorder
    before = state(S)
    trainer = build(dims=dims, network=S, loss_function=loss, amp=amp)
    trainer.run()
    assert trainer.state.output["pred"].shape == (2, 2, *[8] * dims)
    assert trainer.state.output["confidence"].shape == (2, 1, *[8] * dims)
    for given, _ in loss.calls:
        assert (len(given) if isinstance(given, list) else None) == scales
    frozen = [name for name, parameter in S.named_parameters() if torch.equal(parameter, before[name])]
    assert [name for name in frozen if not name.endswith("bias")] == []


@pytest.mark.parametrize("amp", [False, True])
def test_loss_that_knows_no_confidence(build, state, same, amp, keys):
    trainer = build(loss_function=DiceCELoss(to_onehot_y=True, softmax=True), amp=amp)
    S, D = state(trainer.network), state(trainer.confidence_network)
    trainer.run()
    assert not same(state(trainer.network), S)
    assert not same(state(trainer.confidence_network), D)
    assert set(trainer.state.output) == keys


def test_loss_of_one_value_an_item_is_averaged(build):
    def per_voxel(logits, labels):
        return functional.cross_entropy(logits, labels.squeeze(1).long(), reduction="none")

    several = build(batches=1, loss_function=per_voxel)
    single = build(batches=1, loss_function=lambda logits, labels: per_voxel(logits, labels).mean())
    several.run()
    single.run()
    assert torch.equal(several.state.output["loss"], single.state.output["loss"])


def test_two_dimensions_and_monais_tensors(build, batches, state, same):
    plain = build(dims=2)
    data = [{key: MetaTensor(x) for key, x in batch.items()} for batch in batches(3, 2)]
    meta = build(dims=2, train_data_loader=data, decollate=True)
    plain.run()
    meta.run()
    assert same(state(plain.network), state(meta.network))
    assert type(meta.loss_function.dice.value) is torch.Tensor
    assert {tuple(item["image"].shape) for item in meta.state.output} == {(1, 8, 8)}


IN_2D = {  # 3D, in a configuration: tests/examples
    "UNet": lambda: UNet(2, 1, 2, (4, 8), (2,)),
    "VNet": lambda: VNet(2, 1, 2),
    "DynUNet, deep supervision": lambda: dynunet(2),
    "SegResNet": lambda: SegResNet(2, 8, 1, 2, blocks_down=(1, 1), blocks_up=(1,)),
    "SwinUNETR": lambda: SwinUNETR(
        1, 2, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 2), feature_size=12, norm_name="batch", spatial_dims=2
    ),
    "EnhancedUNet": enhanced_unet_2d,
}


@pytest.mark.parametrize("name", IN_2D)
def test_any_network_learns_and_is_evaluated_in_2d(build, batches, name):
    torch.manual_seed(0)
    S = IN_2D[name]()
    data = batches(3, 2, size=32)
    optimizer = torch.optim.Adam(S.parameters(), 1e-3)
    trainer = build(dims=2, network=S, optimizer=optimizer, train_data_loader=data, max_epochs=2)
    losses = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(trainer.state.output["loss"].item()))
    trainer.run()
    assert mean(losses[3:]) < mean(losses[:3])

    evaluator = SupervisedEvaluator(
        "cpu",
        data[:1],
        S,
        postprocessing=Compose(
            [
                Activationsd("pred", softmax=True),
                ConfidenceMapd("pred", trainer.confidence_network),
                AsDiscreted(["pred", "label"], argmax=(True, False), to_onehot=2),
            ]
        ),
        key_val_metric={"dice": MeanDice(include_background=False, output_transform=from_engine(["pred", "label"]))},
    )
    evaluator.run()
    assert 0 <= evaluator.state.metrics["dice"] <= 1
    assert {tuple(item["confidence"].shape) for item in evaluator.state.output} == {(1, 32, 32)}
