"""The trainer against SupervisedTrainer, with other networks and losses, and its options."""

import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.handlers import MeanDice, from_engine
from monai.inferers import SimpleInferer
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet, SegResNet, UNet
from monai.transforms import AsDiscreted
from torch import nn
from torch.nn import functional

from dam_components.engines import ConfidenceEvents, ConfidenceKeys, ConfidenceTrainer
from dam_components.losses import ConfidenceLoss, DifficultyAwareHybridLoss, HybridLoss
from dam_components.networks import ConfidenceNet, EnhancedUNet

KEYS = {"image", "label", "pred", "loss", "confidence", "confidence_loss", "segmentation_loss", "adversarial_loss"}


def unet_with_dropout():
    return UNet(3, 1, 2, (4, 8), (2,), norm="BATCH", dropout=0.2)  # D must not consume S's random numbers


def enhanced_unet():
    return EnhancedUNet(3, 1, 2, (4, 8, 8), (2, 2))  # a list of logits


@pytest.mark.parametrize("make_s", [unet_with_dropout, enhanced_unet])
def test_without_lambda_beta_and_gamma_it_is_the_supervised_trainer(build, batches, state, same, make_s):
    torch.manual_seed(3)
    S = make_s()
    plain = make_s()
    plain.load_state_dict(S.state_dict())
    reference = SupervisedTrainer(
        "cpu", 1, batches(5), plain, torch.optim.Adam(plain.parameters(), 1e-3), HybridLoss(), decollate=False
    )
    torch.manual_seed(7)
    reference.run()
    trainer = build(
        batches=5, network=S, loss_function=DifficultyAwareHybridLoss(2, beta=0, gamma=0), lambda_adv=0, warmup_epochs=0
    )
    initial = state(S)
    torch.manual_seed(7)
    trainer.run()
    assert trainer.state.iteration == 5
    assert not same(state(S), initial)
    assert same(state(S), state(plain))
    assert torch.equal(trainer.state.output["loss"], reference.state.output["loss"])


@pytest.mark.parametrize("change", [{"lambda_adv": 0.5}, {"beta": 2}, {"gamma": 2}])
def test_each_of_lambda_beta_and_gamma_makes_a_difference(build, state, same, change):
    def after(lambda_adv=0, **options):
        loss = DifficultyAwareHybridLoss(2, **{"beta": 0, "gamma": 0, **options})
        trainer = build(loss_function=loss, lambda_adv=lambda_adv)
        trainer.run()
        return state(trainer.network)

    assert not same(after(), after(**change))


class Recorder(nn.Module):
    """Eq. 10 that notes what it was called with."""

    def __init__(self):
        super().__init__()
        self.loss = DifficultyAwareHybridLoss(2)
        self.calls = []

    def forward(self, input, target, confidence=None):
        self.calls.append((input, confidence))
        return self.loss(input, target, confidence)


def test_loss_gets_the_confidence_of_the_output_and_no_gradient_with_it(build):
    loss, outputs = Recorder(), []
    trainer = build(loss_function=loss)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: outputs.append(trainer.state.output))
    trainer.run()
    for (_, given), output in zip(loss.calls, outputs, strict=True):
        assert torch.equal(given, output[ConfidenceKeys.CONFIDENCE])
        assert not given.requires_grad


def test_warmup_is_training_without_confidence_and_adversary(build, state, same):
    def run(epochs, steered, **changes):
        loss = DifficultyAwareHybridLoss(2)
        blind = {"loss_function": lambda logits, labels: loss(logits, labels), "lambda_adv": 0}
        changes.update({"loss_function": loss, "lambda_adv": 0.5} if steered else blind)
        trainer = build(max_epochs=epochs, **changes)
        initial = state(trainer.confidence_network)
        trainer.run()
        assert not same(state(trainer.confidence_network), initial)  # D learns all the while
        return state(trainer.network), trainer.state.output[ConfidenceKeys.ADVERSARIAL_LOSS].item()

    warm, adversarial = run(2, True, warmup_epochs=2)
    assert adversarial == 0
    assert same(warm, run(2, False)[0])
    after, adversarial = run(3, True, warmup_epochs=2)
    assert adversarial > 0
    assert not same(after, run(3, False)[0])


def test_warmup_gives_the_loss_no_confidence(build):
    loss = Recorder()
    build(max_epochs=3, warmup_epochs=2, batches=1, loss_function=loss).run()
    assert [confidence is None for _, confidence in loss.calls] == [True, True, False]


@pytest.mark.parametrize("decollate", [False, True])
@pytest.mark.parametrize("amp", [False, True])
def test_same_output_keys_with_and_without_amp(build, amp, decollate):
    trainer = build(amp=amp, decollate=decollate)
    trainer.run()
    items = trainer.state.output if decollate else [trainer.state.output]
    assert len(items) == (2 if decollate else 1)
    for item in items:
        assert set(item) == KEYS
        assert item["pred"].dtype == torch.float32
        assert item["confidence"].shape == ((1, 8, 8, 8) if decollate else (2, 1, 8, 8, 8))
        assert all(torch.isfinite(torch.as_tensor(value)).all() for value in item.values())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("which", ["network", "confidence_network"])
def test_amp_computes_the_networks_in_half_and_the_losses_in_single_precision(build, which, kind):
    loss, seen = Recorder(), []
    trainer = build(amp=True, amp_kwargs={} if kind == torch.bfloat16 else {"dtype": kind}, loss_function=loss)
    getattr(trainer, which).register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    trainer.run()
    assert set(seen) == {kind}
    assert {logits.dtype for logits, _ in loss.calls} == {torch.float32}
    assert {confidence.dtype for _, confidence in loss.calls} == {torch.float32}
    assert not trainer.scaler.is_enabled()  # bfloat16 does not underflow; on a CPU there is no float16 training


def test_amp_is_near_single_precision(build):
    losses = {}
    for amp in (False, True):
        trainer = build(amp=amp)
        trainer.run()
        losses[amp] = trainer.state.output["loss"].item()
    assert losses[True] == pytest.approx(losses[False], rel=0.02)
    assert losses[True] != losses[False]


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
def test_any_network_can_be_s(build, state, name, amp):
    make_s, dims, scales = NETWORKS[name]
    torch.manual_seed(0)
    S, loss = make_s(), Recorder()
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
def test_loss_that_knows_no_confidence(build, state, same, amp):
    trainer = build(loss_function=DiceCELoss(to_onehot_y=True, softmax=True), amp=amp)
    S, D = state(trainer.network), state(trainer.confidence_network)
    trainer.run()
    assert not same(state(trainer.network), S)
    assert not same(state(trainer.confidence_network), D)
    assert set(trainer.state.output) == KEYS


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


class Fixed(nn.Module):
    """An S that has made up its mind: the same logits whatever the image and the training."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", logits)
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.logits + 0 * self.unused


def blurred_pair():
    """A ball, and blurred predictions of it that are 3 voxels off and too sure: image, labels and P̂ of a 16^3 case."""
    axis = torch.arange(16.0)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    radius = ((x - 7) ** 2 + (y - 8) ** 2 + (z - 8) ** 2).sqrt()
    shifted = ((x - 7 - 3) ** 2 + (y - 8) ** 2 + (z - 8) ** 2).sqrt()
    labels = (radius < 6).long()[None, None]
    foreground = torch.sigmoid(3 * (6 - shifted))[None, None]
    torch.manual_seed(0)
    image = labels + 0.2 * torch.randn(labels.shape)
    return image, labels, torch.cat([1 - foreground, foreground], dim=1)


def confidence_net(residual=True):
    torch.manual_seed(0)
    return ConfidenceNet(3, in_channels=3, num_classes=2, channels=(8, 16), strides=(2,), residual=residual)


def test_pair_is_one_on_which_d_has_to_learn_something():
    _, labels, probabilities = blurred_pair()
    wrong = (probabilities.argmax(1, keepdim=True) != labels).float().mean().item()
    assert 0.1 < wrong < 0.25
    # the best M that knows nothing but this rate has its entropy as BCE; S's own confidence does worse
    best_constant = ConfidenceLoss()(torch.full_like(probabilities[:, :1], 1 - wrong).logit(), probabilities, labels)
    own = ConfidenceLoss()(probabilities.amax(1, keepdim=True).logit(eps=1e-6), probabilities, labels)
    assert own.item() > best_constant.item() > 0.4


@pytest.mark.parametrize(
    ("target", "residual"), [("correctness", True), ("correctness", False), ("adversarial", False)]
)
def test_d_learns(target, residual):
    image, labels, probabilities = blurred_pair()
    onehot = torch.cat([labels == 0, labels == 1], dim=1).float()
    D, loss = confidence_net(residual), ConfidenceLoss(target)
    optimizer = torch.optim.Adam(D.parameters(), 2e-2)
    for _ in range(200):
        on_labels = (D(torch.cat([onehot, image], dim=1)),) if loss.judge_labels else ()
        value = loss(D(torch.cat([probabilities, image], dim=1)), probabilities, labels, *on_labels)
        terms = 2 if target == "adversarial" else 1  # real and fake: 2 log 2 for a D that cannot tell them apart
        if value / terms < 0.25:
            break
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value / terms < 0.3


def test_d_learns_in_the_trainer():
    image, labels, probabilities = blurred_pair()
    S, D, losses = Fixed(probabilities.log()), confidence_net(), []
    trainer = ConfidenceTrainer(
        "cpu",
        1,
        [{"image": image, "label": labels}] * 200,
        S,
        torch.optim.SGD(S.parameters(), 0.1),
        DifficultyAwareHybridLoss(2),
        D,
        torch.optim.Adam(D.parameters(), 5e-3),
        ConfidenceLoss("correctness"),
        lambda_adv=0,
        decollate=False,
    )

    def note():
        losses.append(trainer.state.output[ConfidenceKeys.CONFIDENCE_LOSS].item())
        if losses[-1] < 0.25:
            trainer.terminate()

    trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
    trainer.run()
    assert losses[0] > 0.4
    assert losses[-1] < 0.3
    confidence = trainer.state.output[ConfidenceKeys.CONFIDENCE]
    right = probabilities.argmax(1, keepdim=True) == labels
    assert confidence[right].mean() > confidence[~right].mean() + 0.3


@pytest.mark.parametrize("amp", [False, True])
def test_without_an_optimizer_s_stays_as_it_is_and_d_learns(build, state, same, amp):
    trainer, modes, events = build(optimizer=None, amp=amp, lambda_adv=0.5), [], []
    trainer.network.register_forward_hook(lambda module, *_: modes.append(module.training))
    for event in [*IterationEvents, *ConfidenceEvents]:
        trainer.add_event_handler(event, lambda engine, event=event: events.append(event))
    S, D = state(trainer.network), state(trainer.confidence_network)
    trainer.run()
    assert same(state(trainer.network), S)  # buffers too: it runs as in evaluation
    assert not same(state(trainer.confidence_network), D)
    assert modes == [False] * 3
    assert not trainer.state.output["pred"].requires_grad  # no graph is kept of what is not trained
    assert events == 3 * [
        IterationEvents.FORWARD_COMPLETED,
        ConfidenceEvents.CONFIDENCE_COMPLETED,
        IterationEvents.LOSS_COMPLETED,
        IterationEvents.MODEL_COMPLETED,
    ]
    assert set(trainer.state.output) == KEYS
    assert [trainer.state.output[key].item() for key in ("loss", "segmentation_loss", "adversarial_loss")] == [0, 0, 0]
    assert trainer.loss_function.dice.value.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lambda_adv": -1}, r"lambda_adv and warmup_epochs must be >= 0 and confidence_steps >= 1, got -1, 0 and 1"),
        ({"warmup_epochs": -1}, "got 0.005, -1 and 1"),
        ({"confidence_steps": 0}, "got 0.005, 0 and 0"),
        ({"adversarial_loss": None}, r"lambda_adv=0.005 needs an adversarial_loss \(Eq. 6\), got None"),
        ({"clip_grad_norm": 0}, "clip_grad_norm must be None or > 0, got 0"),
        ({"clip_grad_norm": -1.0}, "clip_grad_norm must be None or > 0, got -1.0"),
    ],
)
def test_bad_options(build, changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_no_adversarial_loss_is_needed_without_lambda(build):
    trainer = build(lambda_adv=0, adversarial_loss=None)
    trainer.run()
    assert trainer.state.output[ConfidenceKeys.ADVERSARIAL_LOSS].item() == 0


def test_empty_batch(build):
    with pytest.raises(ValueError, match="Must provide batch data for current iteration."):
        build(train_data_loader=[None]).run()


@pytest.mark.parametrize("target", ["correctness", "probability", "adversarial"])
def test_labels_out_of_range(build, batches, state, same, target):
    (batch,) = batches(1)
    batch["label"][0, 0, 0, 0, 0] = 2
    trainer = build(train_data_loader=[batch], confidence_loss=ConfidenceLoss(target, judge_labels=1))
    D = dict(trainer.confidence_network.named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in D.items()}
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1 \(the network gives 2 classes\), got 0\.\.2$"):
        trainer.run()
    assert same(before, D)


def test_inferer_and_prepare_batch_are_used(build):
    class Inferer(SimpleInferer):
        def __call__(self, inputs, network, *args, **kwargs):
            seen.append((args, kwargs))
            return super().__call__(inputs, network)

    def prepare(batch, device, non_blocking, **kwargs):
        seen.append((device, non_blocking, kwargs))
        return batch["image"], batch["label"], ("condition",), {"scale": 2}

    seen = []
    build(batches=1, inferer=Inferer(), prepare_batch=prepare, non_blocking=True, to_kwargs={"copy": True}).run()
    assert seen == [(torch.device("cpu"), True, {"copy": True}), (("condition",), {"scale": 2})]


def test_metrics_postprocessing_handlers_and_epoch_length(build):
    class Handler:
        def attach(self, engine):
            engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: epochs.append(engine.state.epoch))

    def dice():
        return MeanDice(include_background=False, output_transform=from_engine(["pred", "label"]))

    epochs = []
    trainer = build(
        max_epochs=2,
        epoch_length=2,
        decollate=True,
        postprocessing=AsDiscreted(keys=["pred", "label"], argmax=(True, False), to_onehot=2),
        key_train_metric={"dice": dice()},
        additional_metrics={"again": dice()},
        metric_cmp_fn=lambda new, best: False,
        train_handlers=[Handler()],
    )
    trainer.run()
    assert epochs == [1, 2]
    assert trainer.state.iteration == 4
    assert {value for item in trainer.state.output for value in item["pred"].unique().tolist()} == {0, 1}
    assert 0 < trainer.state.metrics["dice"] == trainer.state.metrics["again"] < 1
    assert trainer.state.best_metric_epoch == 1  # no epoch is better than the first, says metric_cmp_fn


def test_events_of_ones_own_and_another_iteration(build):
    def iterate(engine, batch):
        engine.fire_event("mine")
        return {"loss": torch.zeros(())}

    fired = []
    trainer = build(iteration_update=iterate, event_names=["mine"], event_to_attr={"mine": "mine_so_far"})
    trainer.add_event_handler("mine", lambda: fired.append(trainer.state.iteration))
    trainer.run()
    assert fired == [1, 2, 3]
    assert trainer.state.mine_so_far == 0  # ignite gives the attribute; counting is the caller's


def test_compiled_training_is_the_same_training(build, state, same):
    # "eager" traces the networks and leaves out the C++ compiler, which would take minutes
    plain, compiled = build(), build(compile=True, compile_kwargs={"backend": "eager"})
    for trainer in (plain, compiled):
        trainer.run()
    assert isinstance(compiled.network, torch._dynamo.OptimizedModule)
    assert isinstance(compiled.confidence_network, torch._dynamo.OptimizedModule)
    assert same(state(plain.network), state(compiled.network._orig_mod))
    assert same(state(plain.confidence_network), state(compiled.confidence_network._orig_mod))


def test_loss_with_state_goes_to_the_device(build):
    assert build(device="meta").loss_function.dice.value.device.type == "meta"


def test_loss_completed_sees_the_losses(build):
    trainer, seen = build(batches=1), []
    trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, lambda: seen.append(set(trainer.state.output)))
    trainer.run()
    assert seen == [KEYS]
