"""What a checkpoint holds of the trainer itself."""

import torch
from monai.handlers import MeanDice, from_engine

from dam_components.engines import ConfidenceTrainer


def scaled(trainer: ConfidenceTrainer, *scales) -> ConfidenceTrainer:
    """With scalers as float16 training has them."""
    trainer.scaler, trainer.confidence_scaler = (torch.amp.GradScaler("cpu", init_scale=scale) for scale in scales)
    return trainer


def test_state_survives_a_file(build, tmp_path):
    metric = {"dice": MeanDice(output_transform=from_engine(["pred", "label"]))}
    trainer = build(max_epochs=2, decollate=True, key_train_metric=metric)
    trainer.run()
    trainer.state.best_metric, trainer.state.best_metric_epoch = 0.75, 2
    torch.save(trainer.state_dict(), tmp_path / "trainer.pt")
    other = build(max_epochs=3)
    other.load_state_dict(torch.load(tmp_path / "trainer.pt", weights_only=True))
    assert (other.state.epoch, other.state.iteration) == (2, 6)
    assert (other.state.best_metric, other.state.best_metric_epoch) == (0.75, 2)
    assert trainer.loss_function.dice.value.min() > 0
    assert torch.equal(other.loss_function.dice.value, trainer.loss_function.dice.value)


def test_scalers_are_restored_each_its_own_and_kept_by_run(build):
    saved = scaled(build(), 4.0, 32.0).state_dict()
    trainer = scaled(build(), 1.0, 1.0)
    trainer.load_state_dict(saved)
    both = trainer.scaler, trainer.confidence_scaler
    assert [scaler.get_scale() for scaler in both] == [4, 32]
    trainer.run()
    assert (trainer.scaler, trainer.confidence_scaler) == both
    assert [scaler.get_scale() for scaler in both] == [4, 32]  # few steps: neither grown nor backed off


def test_scaled_training_is_plain_training(build, state, same):
    # powers of two leave no rounding behind; clipping has to see the gradients without the scale
    plain, with_scale = build(clip_grad_norm=0.1), scaled(build(clip_grad_norm=0.1), 1024.0, 64.0)
    for trainer in (plain, with_scale):
        trainer.run()
    assert same(state(plain.network), state(with_scale.network))
    assert same(state(plain.confidence_network), state(with_scale.confidence_network))


def test_run_without_scaling_goes_on_from_one_with_it_and_the_reverse(build):
    plain, with_scale = build(), scaled(build(), 4.0, 32.0)
    plain.load_state_dict(scaled(build(), 4.0, 32.0).state_dict())
    with_scale.load_state_dict(build().state_dict())
    assert with_scale.scaler.get_scale() == 4


def test_loss_without_state(build):
    trainer = build(loss_function=lambda logits, labels: logits.mean())
    other = build(loss_function=lambda logits, labels: logits.mean())
    other.load_state_dict(trainer.state_dict())
    assert "loss" not in trainer.state_dict()
    # a run may go on with another loss
    other.load_state_dict(build().state_dict())
    build().load_state_dict(trainer.state_dict())
