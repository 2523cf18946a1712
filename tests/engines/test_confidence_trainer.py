"""The trainer against SupervisedTrainer, its warm-up, and mixed precision."""

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.networks.nets import UNet

from dam_components.engines import ConfidenceKeys
from dam_components.losses import DifficultyAwareHybridLoss, HybridLoss
from dam_components.networks import EnhancedUNet


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


def test_loss_gets_the_confidence_of_the_output_and_no_gradient_with_it(build, recorder):
    loss, outputs = recorder, []
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


def test_warmup_gives_the_loss_no_confidence(build, recorder):
    loss = recorder
    build(max_epochs=3, warmup_epochs=2, batches=1, loss_function=loss).run()
    assert [confidence is None for _, confidence in loss.calls] == [True, True, False]


@pytest.mark.parametrize("decollate", [False, True])
@pytest.mark.parametrize("amp", [False, True])
def test_same_output_keys_with_and_without_amp(build, amp, decollate, keys):
    trainer = build(amp=amp, decollate=decollate)
    trainer.run()
    items = trainer.state.output if decollate else [trainer.state.output]
    assert len(items) == (2 if decollate else 1)
    for item in items:
        assert set(item) == keys
        assert item["pred"].dtype == torch.float32
        assert item["confidence"].shape == ((1, 8, 8, 8) if decollate else (2, 1, 8, 8, 8))
        assert all(torch.isfinite(torch.as_tensor(value)).all() for value in item.values())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("which", ["network", "confidence_network"])
def test_amp_computes_the_networks_in_half_and_the_losses_in_single_precision(build, which, kind, recorder):
    loss, seen = recorder, []
    trainer = build(amp=True, amp_kwargs={} if kind == torch.bfloat16 else {"dtype": kind}, loss_function=loss)
    network = trainer.network if which == "network" else trainer.confidence_network.head
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    trainer.run()
    assert set(seen) == {kind}
    assert {logits.dtype for logits, _ in loss.calls} == {torch.float32}
    assert {confidence.dtype for _, confidence in loss.calls} == {torch.float32}
    assert not trainer.scaler.is_enabled()  # bfloat16 does not underflow; on a CPU there is no float16 training


def test_a_loss_of_ones_own_gets_the_judgement_of_d_in_single_precision(build):
    seen = []

    def loss(judgement, probabilities, labels):
        seen.append(judgement.dtype)
        return judgement.square().mean()

    build(amp=True, confidence_loss=loss).run()
    assert set(seen) == {torch.float32}


def test_the_adversary_is_all_of_d_even_where_a_part_of_it_is_called_module(build):
    class Wrapped(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module, self.calls = module, 0

        def forward(self, x):
            self.calls += 1
            return -self.module(x)

    D = Wrapped(build().confidence_network)
    build(batches=1, confidence_network=D, lambda_adv=0.5).run()
    assert D.calls == 2  # Eq. 4 and Eq. 6


def test_amp_is_near_single_precision(build):
    losses = {}
    for amp in (False, True):
        trainer = build(amp=amp)
        trainer.run()
        losses[amp] = trainer.state.output["loss"].item()
    assert losses[True] == pytest.approx(losses[False], rel=0.02)
    assert losses[True] != losses[False]
