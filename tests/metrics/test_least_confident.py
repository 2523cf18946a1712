"""Which case to label next."""

import pytest
import torch

from dam_components.metrics import case_confidence, least_confident_first, predicted_dice


def test_a_case_counts_the_mean_of_its_classes():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(2, 3, 50, generator=generator).softmax(1)
    confidence = torch.rand(2, 1, 50, generator=generator)
    result = case_confidence(probabilities, confidence)
    assert result.shape == (2,)
    torch.testing.assert_close(result, predicted_dice(probabilities, confidence).sum(1) / 2)


def test_the_truth_gives_the_true_dice_and_full_confidence_gives_one():
    # predicts 0 1 1 1, the truth is 0 0 1 1: Dice 2 * 2 / (3 + 2)
    probabilities = torch.tensor([[[0.9, 0.4, 0.1, 0.2], [0.1, 0.6, 0.9, 0.8]]])
    assert case_confidence(probabilities, torch.tensor([[[1.0, 0.0, 1.0, 1.0]]])).tolist() == pytest.approx([0.8])
    assert case_confidence(probabilities, torch.ones(1, 1, 4)).tolist() == [1]


def test_numbers_and_reports_are_ordered_together_and_equal_cases_by_name():
    cases = {"d": 0.5, "a": 0.9, "c": {"predicted_mean_dice": 0.5, "review": False}, "b": 0, "e": 1}
    assert least_confident_first(cases) == ["b", "c", "d", "a", "e"]
    assert least_confident_first({}) == []


@pytest.mark.parametrize("wrong", [1.1, -0.1, float("nan"), None, True, "0.5", {}, {"predicted_mean_dice": None}])
def test_a_case_without_a_number_is_named(wrong):
    with pytest.raises(ValueError, match=r"case b must have a predicted mean Dice in \[0, 1\], got .*: run inference"):
        least_confident_first({"a": 0.5, "b": wrong})
