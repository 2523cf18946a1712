"""What the trainer refuses, and that each option it hands on arrives."""

import pytest
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from monai.handlers import MeanDice, from_engine
from monai.inferers import SimpleInferer
from monai.transforms import AsDiscreted

from dam_components.engines import ConfidenceKeys
from dam_components.losses import ConfidenceLoss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"lambda_adv": -1},
            "lambda_adv and warmup_epochs must be >= 0, confidence_steps and adversarial_interval >= 1, "
            "got -1, 0, 1 and 1",
        ),
        ({"warmup_epochs": -1}, "got 0.005, -1, 1 and 1"),
        ({"confidence_steps": 0}, "got 0.005, 0, 0 and 1"),
        ({"adversarial_interval": 0}, "got 0.005, 0, 1 and 0"),
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
    trainer = build(train_data_loader=[batch], confidence_loss=ConfidenceLoss(target, label_weight=1))
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


def test_loss_completed_sees_the_losses(build, keys):
    trainer, seen = build(batches=1), []
    trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, lambda: seen.append(set(trainer.state.output)))
    trainer.run()
    assert seen == [keys]
