import pytest
import torch

from dam_study.statistics import shared_errors

CALLED, LABELS = torch.tensor([[0, 1, 2, 2]]), torch.tensor([[0, 0, 1, 0]])  # right, then three errors


def test_an_error_is_shared_if_all_others_call_the_same_class():
    assert shared_errors(CALLED, LABELS, [CALLED, CALLED]) == (3, 3)
    assert shared_errors(CALLED, LABELS, [CALLED, LABELS]) == (3, 0)
    # an error of another class is not the same error, and a network of its own on a right voxel does not count
    assert shared_errors(CALLED, LABELS, [torch.tensor([[1, 1, 0, 2]])]) == (3, 2)


def test_without_errors_none_is_shared():
    assert shared_errors(LABELS, LABELS, [LABELS]) == (0, 0)


def test_bad_input():
    with pytest.raises(ValueError, match="others must hold what at least one other network calls, got none"):
        shared_errors(CALLED, LABELS, [])
    with pytest.raises(ValueError, match=r"must have one shape, got \[\(1, 4\), \(1, 4\), \(1, 3\)\]"):
        shared_errors(CALLED, LABELS, [CALLED[:, :3]])
