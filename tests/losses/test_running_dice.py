"""dsc_c of Eq. 7."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor

import dam_components
from dam_components.losses import DifficultyAwareHybridLoss, RunningDice, class_overlap, generalized_dice_loss


def voxels(*classes):
    return torch.tensor(classes).view(1, 1, -1)


def logits(*chosen):
    """Logits (1, 3, voxels) whose argmax is as given."""
    return torch.nn.functional.one_hot(torch.tensor(chosen), 3).T[None] * 4.0


# batch 1: class 0: 2 * 1 / (2 + 1) = 2/3; class 1: 2 * 2 / (2 + 3) = 4/5; class 2: not in the labels
FIRST = logits(0, 1, 1, 1), voxels(0, 0, 1, 1)
# batch 2: class 0: 0; class 1: 1; class 2: 2 * 1 / (2 + 2) = 1/2
SECOND = logits(2, 1, 2, 0), voxels(0, 1, 2, 2)


def test_two_batches_by_hand():
    dice = RunningDice(3, momentum=0.5)
    assert dice.value.tolist() == [0, 0, 0]
    dice.update(*FIRST)
    assert dice.value.tolist() == pytest.approx([1 / 3, 2 / 5, 0])
    dice.update(*SECOND)
    assert dice.value.tolist() == pytest.approx([1 / 6, 7 / 10, 1 / 4])


def test_momentum_weighs_the_newest_batch():
    dice = RunningDice(3, momentum=1.0)
    dice.update(*FIRST)
    dice.update(*SECOND)
    assert dice.value.tolist() == pytest.approx([0, 1, 1 / 2])


def test_class_missing_from_a_batch_keeps_its_value_though_predicted():
    dice = RunningDice(3, momentum=0.5)
    dice.update(*SECOND)
    dice.update(logits(2, 2, 2, 2), voxels(0, 0, 0, 0))
    assert dice.value.tolist() == pytest.approx([0, 1 / 2, 1 / 4])


def test_attention_by_hand():
    dice = RunningDice(3)
    dice.value.copy_(torch.tensor([0.5, 0.8, 0.0]))
    assert dice.attention(2).tolist() == pytest.approx([0.25, 0.04, 1])
    assert dice.attention(0).tolist() == [1, 1, 1]


def test_loss_uses_the_value_of_the_batches_before_and_then_takes_in_its_own():
    loss = DifficultyAwareHybridLoss(3, beta=0, gamma=2, momentum=0.5, lambda_ce=0)
    first, second = loss(*FIRST), loss(*SECOND)
    for value, (x, labels), attention in ((first, FIRST, [1, 1, 1]), (second, SECOND, [4 / 9, 9 / 25, 1])):
        expected = generalized_dice_loss(class_overlap(x.softmax(1), labels), torch.tensor(attention))
        torch.testing.assert_close(value, expected.mean())
    assert loss.dice.value.tolist() == pytest.approx([1 / 6, 7 / 10, 1 / 4])


def test_finest_scale_is_what_the_running_dice_takes_in():
    loss = DifficultyAwareHybridLoss(3, momentum=0.5)
    x, labels = (tensor.view(1, -1, 2, 2) for tensor in FIRST)
    loss([x, x[:, :, :1, :1]], labels)
    assert loss.dice.value.tolist() == pytest.approx([1 / 3, 2 / 5, 0])


def test_eval_mode_leaves_it_alone():
    loss = DifficultyAwareHybridLoss(3).eval()
    loss(*FIRST)
    assert loss.dice.value.tolist() == [0, 0, 0]


def test_survives_a_checkpoint(tmp_path):
    loss = DifficultyAwareHybridLoss(3, momentum=0.5)
    loss(*FIRST)
    torch.save(loss.state_dict(), tmp_path / "loss.pt")
    other = DifficultyAwareHybridLoss(3, momentum=0.5)
    other.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    assert torch.equal(other.dice.value, loss.dice.value)
    assert torch.equal(other(*SECOND), loss(*SECOND))


def test_stays_a_plain_tensor_when_fed_monais():
    # a MetaTensor in the state would carry one image's metadata into every checkpoint
    loss = DifficultyAwareHybridLoss(3, momentum=0.5)
    loss(MetaTensor(FIRST[0]), MetaTensor(FIRST[1]), confidence=MetaTensor(torch.rand(1, 1, 4)))
    assert loss.dice.value.tolist() == pytest.approx([1 / 3, 2 / 5, 0])
    assert type(loss.dice.value) is torch.Tensor


def test_takes_no_gradient():
    dice = RunningDice(3)
    x = FIRST[0].clone().requires_grad_()
    dice.update(x, FIRST[1])
    assert not dice.value.requires_grad
    assert list(dice.parameters()) == []


@pytest.mark.parametrize("momentum", [0, -0.1, 1.1])
def test_momentum_out_of_range(momentum):
    with pytest.raises(ValueError, match=rf"momentum must lie in \(0, 1\], got {momentum}"):
        RunningDice(3, momentum)


def test_two_ranks_agree_with_one_that_sees_both_halves(tmp_path):
    torch.manual_seed(0)
    values, labels = torch.randn(2, 2, 3, 4, 4), torch.randint(0, 3, (2, 2, 1, 4, 4))
    labels[0, 0] = labels[0, 0].clamp_max(1)  # rank 0 alone would not see class 2 in the first batch
    torch.save({"values": values, "labels": labels}, tmp_path / "batch.pt")
    environment = {**os.environ, "PYTHONPATH": str(Path(dam_components.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("running_dice_rank.py")
    ranks = [
        subprocess.Popen([sys.executable, str(script), str(rank), str(tmp_path)], env=environment) for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    alone = RunningDice(3, momentum=0.5)
    for batch in zip(values, labels, strict=True):
        alone.update(*batch)
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"rank{rank}.pt", weights_only=True), alone.value)
