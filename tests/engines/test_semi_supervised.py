"""Unlabelled images: what S learns from them, what D and the labelled images do not notice, and what is refused."""

from math import log

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines.utils import IterationEvents
from monai.networks.nets import UNet
from monai.transforms import RandGaussianNoised
from torch import nn

from dam_components.engines import ConfidenceEvents, SemiSupervisedConfidenceTrainer, SemiSupervisedKeys
from dam_components.losses import PseudoLabelLoss
from dam_components.networks import EnhancedUNet


def unlabelled(count, seed=5):
    images = torch.randn(count, 2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(seed))
    return [{"image": image, "strong": image * 1.5} for image in images]


@pytest.fixture
def semi(build):
    """``semi(**arguments)``: the trainer of ``build`` with unlabelled images."""

    def make(**changes):
        options = {
            "unlabelled_data_loader": unlabelled(3),
            "semi_loss": PseudoLabelLoss(),
            "semi_threshold": 0.0,
            "semi_start": 0,
        }
        return build(kind=SemiSupervisedConfidenceTrainer, **{**options, **changes})

    return make


@pytest.fixture
def after(state):
    """``after(trainer)``: runs it and gives the states of S and D."""

    def run(trainer):
        trainer.run()
        return state(trainer.network), state(trainer.confidence_network)

    return run


class Sure(nn.Module):
    """A D that is always sure, or as sure as the image says."""

    def __init__(self, of_image=False):
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(50.0))
        self.of_image = of_image

    def forward(self, x):
        return x[:, -1:] + 0 * self.logit if self.of_image else 0 * x[:, :1] + self.logit


def by_hand(semi, **changes):
    """S gives the logits (0, x), on two images of two voxels, x = log 3 and -log 3; labelled images teach nothing.

    P̂ of the predicted class is 3/4 everywhere: the cross entropy is log 4/3. Its gradient by the weight of class 1 is
    the mean of (P̂_1 - Y) x = (3/4 - 1) log 3 and (1/4 - 0)(-log 3): -log 3 / 4; by that of class 0 the opposite.
    """
    S = nn.Conv2d(1, 2, 1, bias=False)
    S.weight.data = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    image = log(3) * torch.tensor([1.0, -1.0]).view(1, 1, 1, 2).expand(2, 1, 1, 2)
    D = changes.pop("D", None) or Sure()
    trainer = semi(
        **{
            "train_data_loader": [{"image": image, "label": torch.zeros(2, 1, 1, 2)}],
            "unlabelled_data_loader": [{"image": image, "strong": image}],
            "network": S,
            "optimizer": torch.optim.SGD(S.parameters(), 1.0),
            "loss_function": lambda logits, labels: 0 * logits.sum(),
            "confidence_network": D,
            "confidence_optimizer": torch.optim.SGD(D.parameters(), 0.0),
            "lambda_adv": 0,
            "semi_loss": PseudoLabelLoss(lambda_dice=0),
            **changes,
        }
    )
    trainer.run()
    gradient = S.weight.grad.flatten().tolist()
    return trainer.state.output[SemiSupervisedKeys.SEMI_LOSS].item(), gradient, trainer


@pytest.mark.parametrize("lambda_semi", [1.0, 2.5])
def test_a_d_that_is_always_sure_makes_it_self_training(semi, lambda_semi):
    loss, gradient, trainer = by_hand(semi, lambda_semi=lambda_semi, semi_threshold=0.99)
    assert loss == pytest.approx(log(4 / 3))
    assert gradient == pytest.approx([lambda_semi * log(3) / 4, -lambda_semi * log(3) / 4])
    assert trainer.network.weight.flatten().tolist() == pytest.approx([-gradient[0], 1 - gradient[1]])  # rate 1
    assert trainer.state.output[SemiSupervisedKeys.TRUSTED].item() == 1


def test_d_chooses_the_voxels(semi):
    # M = sigmoid(±log 3) = 3/4 and 1/4: one voxel of two, half the loss; the voxel's part of the gradient
    loss, gradient, trainer = by_hand(semi, D=Sure(of_image=True), semi_threshold=0.5)
    assert loss == pytest.approx(log(4 / 3) / 2)
    assert gradient == pytest.approx([log(3) / 8, -log(3) / 8])
    assert trainer.state.output[SemiSupervisedKeys.TRUSTED].item() == 0.5
    for threshold, trusted in ((0.8, 0.0), (0.2, 1.0)):
        trainer = by_hand(semi, D=Sure(of_image=True), semi_threshold=threshold)[2]
        assert trainer.state.output[SemiSupervisedKeys.TRUSTED].item() == trusted


def test_s_learns_on_the_strong_view_what_the_teacher_says_of_the_weak(semi):
    # the strong view has the signs turned: labels come from the image, so P̂ of them is 1/4
    image = log(3) * torch.tensor([1.0, -1.0]).view(1, 1, 1, 2)
    loss, _, _ = by_hand(semi, unlabelled_data_loader=[{"image": image, "strong": -image}])
    assert loss == pytest.approx(log(4))


def test_threshold_1_is_the_supervised_step_bit_for_bit(build, semi, after, same):
    def run(make, **options):
        torch.manual_seed(3)
        S = UNet(3, 1, 2, (4, 8), (2,))  # a batch norm would note the statistics of the unlabelled images
        optimizer = torch.optim.Adam(S.parameters(), 1e-3)
        return after(make(network=S, optimizer=optimizer, lambda_adv=0.1, clip_grad_norm=1.0, **options))

    plain = run(build)
    for options in ({"semi_threshold": 1.0}, {"lambda_semi": 0.0}, {"semi_start": 1}):
        assert all(map(same, run(semi, **options), plain)), options
    assert not same(run(semi)[0], plain[0])


def test_lambda_0_costs_nothing(semi):
    class Untouched(list):
        def __iter__(self):
            raise AssertionError("read")

    trainer = semi(lambda_semi=0.0, unlabelled_data_loader=Untouched([1]))
    calls = []
    trainer.network.register_forward_hook(lambda *_: calls.append("S"))
    trainer.run()
    assert calls == ["S"] * 3
    assert trainer.state.output[SemiSupervisedKeys.SEMI_LOSS].item() == 0
    assert trainer.teacher.n_averaged == 0


def test_term_begins_after_semi_start_epochs(semi):
    trainer, seen = semi(max_epochs=3, semi_start=2, batches=1), []
    trainer.add_event_handler(
        IterationEvents.MODEL_COMPLETED, lambda: seen.append(trainer.state.output["semi_loss"].item() > 0)
    )
    trainer.run()
    assert seen == [False, False, True]


def test_gradient_reaches_s_and_nothing_of_d(build, semi, after, same):
    def after_one(make, **options):
        trainer = make(batches=1, lambda_adv=0, **options)
        states = after(trainer)
        return states, [p.grad.clone() for p in trainer.confidence_network.parameters()], trainer

    (S, D), gradients, _ = after_one(build)
    (S_semi, D_semi), gradients_semi, trainer = after_one(semi)
    assert not same(S, S_semi)
    assert same(D, D_semi)  # running statistics of its batch norm too
    assert all(map(torch.equal, gradients, gradients_semi))
    assert all(p.grad is None and not p.requires_grad for p in trainer.teacher.parameters())
    assert all(p.requires_grad for p in trainer.network.parameters())


def test_one_pass_of_each_and_events_as_ever(semi):
    trainer, calls, events = semi(batches=1, lambda_adv=0), [], []
    parts = {"S": trainer.network, "D": trainer.confidence_network, "T": trainer.teacher}
    for name, part in parts.items():
        part.register_forward_hook(lambda *_, name=name: calls.append((name, torch.is_grad_enabled())))
    for event in [*IterationEvents, *ConfidenceEvents]:
        trainer.add_event_handler(event, lambda engine, event=event: events.append(event))
    trainer.run()
    assert calls == [("S", True), ("D", True), ("T", False), ("D", False), ("S", True)]
    assert len(events) == len({*events}) == 6


def test_teacher_is_the_moving_average_of_s(semi, state):
    def run(decay):
        trainer = semi(ema_decay=decay)
        seen = [state(trainer.network)]  # the teacher begins as the S that the first batch meets
        trainer.add_event_handler(ConfidenceEvents.SEGMENTATION_COMPLETED, lambda: seen.append(state(trainer.network)))
        trainer.run()
        return trainer.teacher.module, seen

    teacher, seen = run(0.0)
    torch.testing.assert_close(state(teacher), seen[-1], rtol=0, atol=0)
    teacher, seen = run(0.75)
    for name, value in teacher.named_parameters():
        average = seen[0][name]
        for step in seen[1:]:
            average = 0.75 * average + 0.25 * step[name]
        torch.testing.assert_close(value, average)
    torch.testing.assert_close(dict(teacher.named_buffers()), {n: seen[-1][n] for n, _ in teacher.named_buffers()})


@pytest.mark.parametrize(("count", "read"), [(1, [0, 0, 0]), (2, [0, 1, 0]), (5, [0, 1, 2])])
def test_loader_shorter_or_longer_than_the_labelled_one(semi, count, read):
    class Noted(list):
        def __iter__(self):
            for i, batch in enumerate(super().__iter__()):
                seen.append(i)
                yield batch

    seen = []
    semi(max_epochs=2, unlabelled_data_loader=Noted(unlabelled(count))).run()
    assert seen == read * 2  # begun anew in the second epoch


def loader():
    cases = [{"image": x, "strong": x} for x in torch.randn(6, 1, 8, 8, 8, generator=torch.Generator().manual_seed(2))]
    return DataLoader(Dataset(cases, RandGaussianNoised("strong", prob=0.8, std=0.5)), batch_size=2, shuffle=True)


def test_labelled_batches_are_those_of_the_baseline(semi, batches):
    def order(**options):
        cases = [{key: value[0] for key, value in batch.items()} for batch in batches(6)]
        torch.manual_seed(4)
        labelled = DataLoader(Dataset(cases), batch_size=2, shuffle=True)
        trainer, seen = semi(train_data_loader=labelled, unlabelled_data_loader=loader(), max_epochs=2, **options), []
        torch.manual_seed(4)
        trainer.add_event_handler(
            IterationEvents.FORWARD_COMPLETED, lambda: seen.append(trainer.state.output["image"].clone())
        )
        trainer.run()
        return seen

    assert all(map(torch.equal, order(lambda_semi=1.0), order(lambda_semi=0.0)))


def test_resumed_run_ends_as_the_unbroken(semi, same):
    def run(epochs, saved=None, seed=0):
        trainer = semi(max_epochs=epochs, unlabelled_data_loader=loader(), semi_seed=seed, ema_decay=0.5)
        parts = {
            "S": trainer.network,
            "D": trainer.confidence_network,
            "optimizer": trainer.optimizer,
            "D's": trainer.confidence_optimizer,
            "trainer": trainer,
        }
        for name, part in (saved or {}).items():
            parts[name].load_state_dict(part)
        trainer.state.max_epochs = epochs  # as MONAI's CheckpointLoader does
        torch.manual_seed(epochs)  # whatever else draws random numbers
        trainer.run()
        return {name: part.state_dict() for name, part in parts.items()}

    whole = run(2)
    resumed = run(2, run(1))
    assert same(whole["S"], resumed["S"])
    assert same(whole["D"], resumed["D"])
    assert same(whole["trainer"]["teacher"], resumed["trainer"]["teacher"])
    without = run(1)
    del without["trainer"]["teacher"]  # the control: a state without the teacher goes on, from S
    assert not same(whole["S"], run(2, without)["S"])
    assert not same(whole["S"], run(2, seed=1)["S"])


@pytest.mark.parametrize("amp", [False, True])
def test_networks_of_several_scales_and_amp(semi, state, same, amp):
    S, given = EnhancedUNet(3, 1, 2, (4, 8, 8), (2, 2)), []

    def loss(scales, labels, trusted):
        given.append(([x.dtype for x in scales], labels.shape, labels.dtype, trusted.dtype))
        return PseudoLabelLoss()(scales, labels, trusted)

    trainer = semi(
        network=S, optimizer=torch.optim.Adam(S.parameters(), 1e-3), semi_loss=loss, amp=amp, batches=1, semi_start=0
    )
    before = state(S)
    trainer.run()
    assert given == [([torch.float32] * 2, (2, 1, 8, 8, 8), torch.int64, torch.bool)]
    assert not same(before, state(S))


def test_compiled_training_is_the_same_training(semi, state, same):
    plain, compiled = semi(batches=2), semi(batches=2, compile=True, compile_kwargs={"backend": "eager"})
    for trainer in (plain, compiled):
        trainer.run()
    assert same(state(plain.network), state(compiled.network._orig_mod))
    assert same(state(plain.teacher), state(compiled.teacher))


def test_the_sum_of_all_gradients_is_clipped(semi):
    trainer = semi(batches=1, lambda_semi=100.0, clip_grad_norm=1e-3)
    trainer.run()
    norm = torch.cat([p.grad.flatten() for p in trainer.network.parameters()]).norm().item()
    assert norm == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lambda_semi": -1}, "lambda_semi and semi_start must be >= 0, got -1 and 0"),
        ({"semi_start": -1}, "lambda_semi and semi_start must be >= 0, got 1.0 and -1"),
        ({"semi_threshold": 1.1}, r"semi_threshold must lie in \[0, 1\], as M does, got 1.1"),
        ({"semi_threshold": -0.1}, r"semi_threshold must lie in \[0, 1\], as M does, got -0.1"),
        ({"ema_decay": 1}, r"ema_decay must lie in \[0, 1\), got 1"),
        ({"ema_decay": -0.1}, r"ema_decay must lie in \[0, 1\), got -0.1"),
        ({"unlabelled_data_loader": []}, "unlabelled_data_loader is empty: name unlabelled cases"),
        ({"optimizer": None}, "semi-supervised training is of S and needs its optimizer, got None"),
    ],
)
def test_bad_options(semi, changes, message):
    with pytest.raises(ValueError, match=message):
        semi(**changes)


def test_bad_batches(semi):
    with pytest.raises(ValueError, match="unlabelled_data_loader ended without a batch: name unlabelled cases"):
        semi(unlabelled_data_loader=(batch for batch in ())).run()
    with pytest.raises(ValueError, match=r"unlabelled batches must hold 'image' and 'strong', got \['image'\]"):
        semi(unlabelled_data_loader=[{"image": torch.zeros(1, 1, 8, 8, 8)}]).run()
