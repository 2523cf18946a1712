import math

import pytest
import torch

from dam_components.metrics import (
    entropy_doubt,
    fit_temperature,
    predicted_class_doubt,
    softmax_doubt,
    temperature_doubt,
)


def test_called_doubt_is_what_the_other_classes_have():
    probabilities = torch.tensor([[[0.5, 0.1], [0.3, 0.2], [0.2, 0.7]]])
    predicted = torch.tensor([[[1, 2]]])  # 0.5 + 0.2; 0.1 + 0.2
    assert torch.allclose(predicted_class_doubt(probabilities, predicted), torch.tensor([[[0.7, 0.3]]]))


def test_called_doubt_keeps_digits_that_one_minus_loses():
    probabilities = torch.tensor([[[1.0], [1e-12]]])
    assert float(1 - probabilities.amax(1)) == 0
    assert float(softmax_doubt(probabilities)) == pytest.approx(1e-12)


def test_called_doubt_rejects_another_shape():
    with pytest.raises(ValueError, match=r"predicted must have shape \(1, 1, 4\), got \(1, 4\)"):
        predicted_class_doubt(torch.rand(1, 2, 4), torch.zeros(1, 4, dtype=torch.long))


def test_softmax_doubt_is_one_minus_the_largest():
    probabilities = torch.rand(2, 4, 3, 3, dtype=torch.float64).softmax(1)
    assert torch.allclose(softmax_doubt(probabilities), 1 - probabilities.amax(1, keepdim=True))


def test_entropy_is_one_where_all_are_equal_and_zero_where_sure():
    probabilities = torch.tensor([[[1 / 3, 1.0], [1 / 3, 0.0], [1 / 3, 0.0]]])
    assert torch.allclose(entropy_doubt(probabilities), torch.tensor([[[1.0, 0.0]]]), atol=1e-6)


def test_entropy_by_hand():
    # p = (1/4, 3/4): (log 4 + 3 log 4/3) / 4 / log 2
    expected = (math.log(4) + 3 * math.log(4 / 3)) / 4 / math.log(2)
    assert float(entropy_doubt(torch.tensor([[[0.25], [0.75]]]))) == pytest.approx(expected)


def test_temperature_one_is_the_softmax_and_infinity_knows_nothing():
    logits = torch.randn(1, 3, 5)
    assert torch.equal(temperature_doubt(logits, 1.0), softmax_doubt(logits.softmax(1)))
    assert torch.allclose(temperature_doubt(logits, 1e6), torch.full((1, 1, 5), 2 / 3), atol=1e-4)


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_fit_recovers_the_temperature_that_labels_were_drawn_at(truth):
    draw = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(60_000, 3, generator=draw)
    labels = torch.multinomial((logits / truth).softmax(1), 1, generator=draw)[:, 0]
    # the standard error of T is below 1 % of it with 60000 voxels
    assert fit_temperature(logits, labels) == pytest.approx(truth, rel=0.03)


def test_fit_ends_at_its_bounds_where_there_is_no_optimum():
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits, torch.tensor([0, 1]), low=0.1) == pytest.approx(0.1)
    assert fit_temperature(logits, torch.tensor([1, 0]), high=10.0) == pytest.approx(10.0)


def test_fit_rejects_logits_that_do_not_fit_labels():
    with pytest.raises(ValueError, match=r"logits must be \(N, C\) and labels \(N,\).*got \(3, 2\) and \(2,\)"):
        fit_temperature(torch.zeros(3, 2), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="N at least 1"):
        fit_temperature(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
