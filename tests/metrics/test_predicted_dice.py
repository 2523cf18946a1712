import math
import sys

import pytest
import torch
from monai.metrics import compute_dice
from monai.networks import one_hot

from dam_components.metrics import predicted_dice


def softmax_volume(classes: int, seed: int, batch: int = 3, size: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(batch, classes, size, size, size, generator=generator)).softmax(1)


def noisy_truth(probabilities: torch.Tensor, seed: int) -> torch.Tensor:
    """A label that agrees with the prediction in most voxels, (B, 1, ...)."""
    generator = torch.Generator().manual_seed(seed)
    predicted = probabilities.argmax(1, keepdim=True)
    other = torch.randint(0, probabilities.shape[1], predicted.shape, generator=generator)
    return torch.where(torch.rand(predicted.shape, generator=generator) < 0.7, predicted, other)


def true_dice(probabilities: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    classes = probabilities.shape[1]
    predicted = one_hot(probabilities.argmax(1, keepdim=True), classes)
    return compute_dice(predicted, one_hot(truth, classes), include_background=True, ignore_empty=False).double()


@pytest.mark.parametrize("seed", range(5))
def test_with_the_truth_for_confidence_two_classes_give_the_true_dice(seed):
    probabilities = softmax_volume(2, seed)
    truth = noisy_truth(probabilities, seed)
    right = (probabilities.argmax(1, keepdim=True) == truth).double()
    predicted = predicted_dice(probabilities, right, include_background=True)
    torch.testing.assert_close(predicted, true_dice(probabilities, truth), rtol=0, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_more_classes_give_it_where_the_rest_goes_to_the_true_class(seed):
    probabilities = softmax_volume(4, seed)
    truth = noisy_truth(probabilities, seed)
    predicted = probabilities.argmax(1, keepdim=True)
    first, second = one_hot(predicted, 4), one_hot(truth, 4)
    knowing = torch.where(predicted == truth, first, 0.6 * first + 0.4 * second)
    found = predicted_dice(knowing, (predicted == truth).double(), include_background=True)
    torch.testing.assert_close(found, true_dice(knowing, truth), rtol=0, atol=1e-7)


def test_more_classes_keep_the_sum_of_false_negatives():
    # Solved for FN = 2 TP / Dice - |A| - TP, every wrong voxel is missed once by some class.
    probabilities = softmax_volume(3, 7, batch=1)
    predicted = probabilities.argmax(1, keepdim=True)
    right = (predicted == noisy_truth(probabilities, 7)).double()
    dice = predicted_dice(probabilities, right, include_background=True)[0]
    size = torch.stack([(predicted == c).sum() for c in range(3)])
    hits = torch.stack([(right * (predicted == c)).sum() for c in range(3)])
    assert (2 * hits / dice - size - hits).sum() == pytest.approx(float((1 - right).sum()))


def test_by_hand_with_three_classes():
    probabilities = torch.tensor([[[0.7, 0.2, 0.1], [0.2, 0.6, 0.1], [0.1, 0.2, 0.8]]], dtype=torch.float64)
    confidence = torch.tensor([[[0.9, 0.5, 0.8]]], dtype=torch.float64)
    # Called 0, 1, 2. The rest 0.1 of voxel 0 goes to 1 and 2 as 2:1, the 0.5 of voxel 1 to 0 and 2 as 1:1, the 0.2 of
    # voxel 2 to 0 and 1 as 1:1.
    one = 2 * 0.5 / (1 + 0.5 + (0.1 * 2 / 3 + 0.1))
    two = 2 * 0.8 / (1 + 0.8 + (0.1 / 3 + 0.25))
    zero = 2 * 0.9 / (1 + 0.9 + (0.25 + 0.1))
    assert predicted_dice(probabilities, confidence)[0].tolist() == pytest.approx([one, two])
    assert predicted_dice(probabilities, confidence, include_background=True)[0].tolist() == pytest.approx(
        [zero, one, two]
    )


def test_full_confidence_gives_1_and_none_gives_0():
    probabilities = softmax_volume(3, 0)
    ones = torch.ones(3, 1, 6, 6, 6)
    assert (predicted_dice(probabilities, ones) == 1).all()
    assert (predicted_dice(probabilities, 0 * ones) == 0).all()


def test_more_doubt_predicts_less_dice():
    probabilities = softmax_volume(3, 0)
    values = [predicted_dice(probabilities, torch.full((3, 1, 6, 6, 6), m)) for m in (0.95, 0.8, 0.5)]
    assert (values[0] > values[1]).all()
    assert (values[1] > values[2]).all()


def test_is_the_mean_dice_of_labels_drawn_from_its_own_belief():
    probabilities = softmax_volume(3, 5, batch=1, size=10)
    confidence = 0.5 + 0.5 * torch.rand(1, 1, 10, 10, 10, generator=torch.Generator().manual_seed(5))
    predicted = one_hot(probabilities.argmax(1, keepdim=True), 3)
    rest = probabilities * (1 - predicted)
    belief = predicted * confidence + (1 - confidence) * rest / rest.sum(1, keepdim=True)
    draws = torch.multinomial(
        belief[0].flatten(1).T, 200, replacement=True, generator=torch.Generator().manual_seed(6)
    ).T.reshape(200, 1, 10, 10, 10)
    dice = true_dice(probabilities.expand(200, -1, -1, -1, -1), draws)[:, 1:].mean(0)
    torch.testing.assert_close(predicted_dice(probabilities, confidence)[0], dice, rtol=0, atol=5e-3)


def all_background(missed: float) -> tuple[torch.Tensor, torch.Tensor]:
    probabilities = torch.tensor([0.8, 0.15, 0.05], dtype=torch.float64).reshape(1, 3, 1, 1).repeat(1, 1, 2, 2)
    return probabilities, torch.full((1, 1, 2, 2), 1 - missed, dtype=torch.float64)


def test_a_class_called_nowhere_has_the_probability_that_it_is_absent():
    assert predicted_dice(*all_background(0.0))[0].tolist() == [1, 1]
    # Of the missed 0.2 a voxel three quarters go to class 1 and a quarter to class 2; four voxels.
    assert predicted_dice(*all_background(0.2))[0].tolist() == pytest.approx([0.85**4, 0.95**4])
    assert (predicted_dice(*all_background(1e-9)) > 1 - 1e-8).all()


def test_a_class_called_nowhere_and_the_truth_for_confidence_give_1_or_0():
    probabilities = torch.tensor([0.9, 0.1]).reshape(1, 2, 1).repeat(2, 1, 5)
    right = torch.ones(2, 1, 5)
    right[1, 0, 3] = 0
    assert predicted_dice(probabilities, right).tolist() == [[1], [0]]


def test_saturated_probabilities_spread_the_rest_evenly():
    probabilities = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1)
    assert predicted_dice(probabilities, torch.full((1, 1, 1), 0.5))[0].tolist() == [0.75, 0.75]


def test_cases_of_a_batch_do_not_mix_and_inputs_stay_as_they_were():
    probabilities = softmax_volume(3, 1).half().requires_grad_()
    confidence = torch.rand(3, 1, 6, 6, 6, generator=torch.Generator().manual_seed(1))
    kept = probabilities.detach().clone(), confidence.clone()
    together = predicted_dice(probabilities, confidence)
    apart = torch.cat([predicted_dice(probabilities[i : i + 1], confidence[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, apart)
    assert together.shape == (3, 2)
    assert together.dtype == torch.float64
    assert not together.requires_grad
    assert torch.equal(probabilities.detach(), kept[0])
    assert torch.equal(confidence, kept[1])


def test_a_volume_in_pieces_gives_the_same(monkeypatch):
    probabilities, confidence = softmax_volume(4, 3), 1 - 1e-3 * torch.rand(3, 1, 6, 6, 6)
    probabilities[0] = torch.tensor([0.7, 0.2, 0.06, 0.04]).reshape(4, 1, 1, 1)  # one class predicted everywhere
    whole = predicted_dice(probabilities, confidence, include_background=True)
    monkeypatch.setattr(sys.modules[predicted_dice.__module__], "CHUNK", 50)  # 216 voxels: the last piece is short
    pieces = predicted_dice(probabilities, confidence, include_background=True)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "confidence", "message"),
    [
        (torch.rand(2, 3), torch.rand(2, 1), r"probabilities must be \(B, C, ...\) with at least 2 classes"),
        (torch.rand(2, 1, 4), torch.rand(2, 1, 4), r"at least 2 classes, got shape \(2, 1, 4\)"),
        (torch.rand(2, 3, 4), torch.rand(2, 3, 4), r"confidence must have shape \(2, 1, 4\), got \(2, 3, 4\)"),
        (torch.rand(2, 3, 4), torch.rand(1, 1, 4), r"confidence must have shape \(2, 1, 4\), got \(1, 1, 4\)"),
        (torch.rand(2, 3, 4), torch.full((2, 1, 4), 1.5), r"confidence must be in \[0, 1\]"),
        (torch.rand(2, 3, 4), torch.full((2, 1, 4), math.nan), r"confidence must be in \[0, 1\], got values outside"),
    ],
)
def test_bad_input(probabilities, confidence, message):
    with pytest.raises(ValueError, match=message):
        predicted_dice(probabilities, confidence)
