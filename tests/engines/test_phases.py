"""What each phase of an iteration touches, and the events between them."""

from copy import deepcopy

import pytest
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents

from dam_components.engines import ConfidenceEvents, ConfidenceKeys
from dam_components.losses import ConfidenceLoss, adversarial_loss

FIRED = [
    IterationEvents.FORWARD_COMPLETED,
    ConfidenceEvents.CONFIDENCE_COMPLETED,
    IterationEvents.LOSS_COMPLETED,
    IterationEvents.BACKWARD_COMPLETED,
    ConfidenceEvents.SEGMENTATION_COMPLETED,
    IterationEvents.MODEL_COMPLETED,
]


@pytest.mark.parametrize(
    "changes", [{}, {"amp": True}, {"lambda_adv": 0}, {"warmup_epochs": 1}, {"confidence_steps": 3}]
)
def test_events_fire_once_an_iteration_and_in_order(build, changes):
    trainer, seen = build(batches=2, **changes), []
    for event in [*IterationEvents, *ConfidenceEvents]:
        trainer.add_event_handler(event, lambda engine, event=event: seen.append(event))
    trainer.run()
    assert seen == FIRED * 2


@pytest.mark.parametrize("target", ["correctness", "adversarial"])
@pytest.mark.parametrize("lambda_adv", [0, 1.0])
@pytest.mark.parametrize("amp", [False, True])
def test_each_phase_changes_one_network_only(build, state, same, target, lambda_adv, amp):
    trainer = build(lambda_adv=lambda_adv, confidence_loss=ConfidenceLoss(target), confidence_steps=2, amp=amp)
    S, D, taken = trainer.network, trainer.confidence_network, {}

    def take(name):
        return lambda: taken.update({name: (state(S), state(D))})

    trainer.add_event_handler(IterationEvents.FORWARD_COMPLETED, take("forward"))
    trainer.add_event_handler(ConfidenceEvents.CONFIDENCE_COMPLETED, take("D's phase"))
    trainer.add_event_handler(ConfidenceEvents.SEGMENTATION_COMPLETED, take("S's phase"))

    def compare():
        assert same(taken["forward"][0], taken["D's phase"][0])
        assert not same(taken["forward"][1], taken["D's phase"][1])
        assert not same(taken["D's phase"][0], taken["S's phase"][0])
        assert same(taken["D's phase"][1], taken["S's phase"][1])
        assert all(parameter.requires_grad for parameter in D.parameters())

    trainer.add_event_handler(Events.ITERATION_COMPLETED, compare)
    trainer.run()
    assert trainer.state.iteration == 3


def test_no_gradient_crosses_between_the_networks(build):
    trainer, gradients = build(lambda_adv=1.0), {}

    def of(network):
        return [None if p.grad is None else p.grad.clone() for p in network.parameters()]

    trainer.add_event_handler(
        ConfidenceEvents.CONFIDENCE_COMPLETED,
        lambda: gradients.update(S=of(trainer.network), D=of(trainer.confidence_network)),
    )

    def compare():
        if trainer.state.iteration == 1:
            assert set(gradients["S"]) == {None}  # S has none after D's phase
        assert all(torch.equal(*pair) for pair in zip(gradients["D"], of(trainer.confidence_network), strict=True))
        assert None not in of(trainer.network)

    trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, compare)
    trainer.run()


@pytest.mark.parametrize("lambda_adv", [0, 0.5])
def test_s_runs_once_an_iteration_and_d_as_often_as_needed(build, lambda_adv):
    trainer, calls = build(lambda_adv=lambda_adv, confidence_steps=2), []
    trainer.network.register_forward_hook(lambda *_: calls.append("S"))
    trainer.confidence_network.register_forward_hook(lambda *_: calls.append("D"))
    trainer.run()
    assert calls == ["S", "D", "D", *(["D"] if lambda_adv else [])] * 3


def test_the_adversarial_term_comes_every_nth_iteration_with_n_times_its_weight(build):
    trainer, calls, losses = build(batches=4, lambda_adv=0.5, adversarial_interval=2), [], []
    trainer.confidence_network.register_forward_hook(lambda *_: calls.append(trainer.state.iteration))

    def check():
        output = trainer.state.output
        excess = output["loss"].detach() - output[ConfidenceKeys.SEGMENTATION_LOSS]
        losses.append((excess.item(), output[ConfidenceKeys.ADVERSARIAL_LOSS].item()))

    trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, check)
    trainer.run()
    assert calls == [1, 2, 2, 3, 4, 4]
    assert losses[0] == (0, 0)
    for number in (1, 3):
        assert losses[number][0] == pytest.approx(2 * 0.5 * losses[number][1], abs=1e-5)
        assert losses[number][1] > 0
    assert losses[2] == (0, losses[1][1])  # what was last computed stays on show


def test_output_is_what_the_equations_say(build):
    trainer, seen = build(batches=2, lambda_adv=0.5), []

    def check():
        output = trainer.state.output
        D = deepcopy(trainer.confidence_network)  # as the second phase finds it
        expected = adversarial_loss(D(torch.cat([output["pred"].softmax(1), output["image"]], dim=1)))
        assert output[ConfidenceKeys.ADVERSARIAL_LOSS].item() == pytest.approx(expected.item(), abs=1e-5)
        total = output[ConfidenceKeys.SEGMENTATION_LOSS] + 0.5 * output[ConfidenceKeys.ADVERSARIAL_LOSS]  # Eq. 11
        torch.testing.assert_close(output["loss"].detach(), total)
        seen.append(total)

    trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, check)
    trainer.run()
    assert len(seen) == 2
    output = trainer.state.output
    confidence = output[ConfidenceKeys.CONFIDENCE]
    assert confidence.shape == (2, 1, 8, 8, 8)
    assert 0 < confidence.min() < confidence.max() < 1
    # M is the judgement that D's loss was taken from: Eq. 4 gives it back
    loss = ConfidenceLoss()(confidence.logit(), output["pred"].softmax(1), output["label"])
    assert output[ConfidenceKeys.CONFIDENCE_LOSS].item() == pytest.approx(loss.item(), abs=1e-5)


def test_adversarial_gradient_reaches_s_and_changes_no_d(build, state, same):
    def after(**changes):
        trainer = build(batches=1, **changes)
        trainer.run()
        return state(trainer.network), state(trainer.confidence_network)

    (S, D), (S_without, D_without) = after(lambda_adv=1.0), after(lambda_adv=0)
    assert not same(S, S_without)
    assert same(D, D_without)


def test_lambda_scales_the_adversarial_gradient(build):
    def gradient(lambda_adv):
        trainer = build(batches=1, lambda_adv=lambda_adv)
        trainer.run()
        return torch.cat([p.grad.flatten() for p in trainer.network.parameters()])

    none, one, three = gradient(0), gradient(1.0), gradient(3.0)
    torch.testing.assert_close(three - none, 3 * (one - none), atol=1e-5, rtol=1e-3)


def test_confidence_steps(build):
    trainer = build(confidence_steps=2)
    trainer.run()
    steps = [
        {int(entry["step"]) for entry in optimizer.state.values()}
        for optimizer in (trainer.optimizer, trainer.confidence_optimizer)
    ]
    assert steps == [{3}, {6}]


def test_gradients_are_clipped_for_each_network(build):
    def norms(clip_grad_norm):
        trainer, found = build(batches=1, clip_grad_norm=clip_grad_norm), []

        def note(engine, network):
            found.append(torch.cat([p.grad.flatten() for p in network.parameters()]).norm().item())

        trainer.add_event_handler(ConfidenceEvents.CONFIDENCE_COMPLETED, note, trainer.confidence_network)
        trainer.add_event_handler(ConfidenceEvents.SEGMENTATION_COMPLETED, note, trainer.network)
        trainer.run()
        return found

    free = norms(None)
    bound = min(free) / 2
    assert norms(bound) == pytest.approx([bound, bound], rel=1e-3)
    assert norms(10 * max(free)) == pytest.approx(free)


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_are_cleared_as_asked(build, to_none):
    trainer, cleared = build(batches=2, optim_set_to_none=to_none, lambda_adv=0), {"S": [], "D": []}

    def check(name, network):
        gradients = [p.grad for p in network.parameters()]
        cleared[name].append(all(g is None if to_none else g is not None and not g.any() for g in gradients))

    trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, check, "S", trainer.network)
    trainer.confidence_network.register_forward_pre_hook(lambda module, inputs: check("D", module))
    trainer.run()
    assert [flags[1] for flags in cleared.values()] == [True, True]


def test_networks_and_loss_are_put_in_training_mode(build):
    trainer, modes = build(batches=2), []
    parts = trainer.network, trainer.confidence_network, trainer.loss_function
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: [part.eval() for part in parts])
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: modes.append([part.training for part in parts]))
    trainer.run()
    assert modes == [[True] * 3] * 2
