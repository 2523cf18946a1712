"""Other networks as S, other losses, two dimensions, MONAI's tensors."""

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet, SegResNet, UNet
from torch.nn import functional

from dam_components.networks import EnhancedUNet


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
