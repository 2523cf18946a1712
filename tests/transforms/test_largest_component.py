"""One piece of a structure stays, the others become background."""

import pytest
import torch
from monai.data import MetaTensor

from dam_components.transforms import LargestComponentd, keep_largest_component


def probabilities(labels, classes=3):
    """0.7 for the class called, the rest for the others alike."""
    labels = torch.tensor(labels)
    p = torch.full((classes, *labels.shape), 0.3 / (classes - 1))
    return p.scatter(0, labels[None], 0.7)


LABELS = [[1, 1, 0, 2], [0, 0, 0, 2], [1, 0, 2, 0]]  # of 1: two, and one apart; of 2: three, touching at a corner


def test_stray_voxels_become_background_and_nothing_else_changes():
    p = probabilities(LABELS)
    kept = keep_largest_component(p, [1])
    assert kept.argmax(0).tolist() == [[1, 1, 0, 2], [0, 0, 0, 2], [0, 0, 2, 0]]
    assert kept[:, 2, 0].tolist() == pytest.approx([0.85, 0, 0.15])  # 0.15 + 0.7, nothing, as it was
    changed = (kept != p).any(0)
    assert changed.nonzero().tolist() == [[2, 0]]
    torch.testing.assert_close(kept.sum(0), torch.ones(3, 4))
    assert torch.equal(p, probabilities(LABELS))  # the input is as it was


def test_only_the_named_classes_are_looked_at():
    labels = [[1, 0, 1, 1], [0, 0, 0, 0], [2, 0, 2, 2]]
    p = probabilities(labels)
    assert keep_largest_component(p, [2]).argmax(0).tolist() == [[1, 0, 1, 1], [0, 0, 0, 0], [0, 0, 2, 2]]
    assert keep_largest_component(p, [1, 2]).argmax(0).tolist() == [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 2, 2]]
    assert torch.equal(keep_largest_component(p, []), p)


def test_a_class_in_one_piece_or_in_none_stays():
    p = probabilities([[2, 2, 0, 0]])
    assert torch.equal(keep_largest_component(p, [1, 2]), p)


@pytest.mark.parametrize("wrong", [0, 3, -1])
def test_a_class_that_is_not_there_is_refused(wrong):
    with pytest.raises(ValueError, match=rf"must lie in 1..2, got \[{wrong}\]"):
        keep_largest_component(probabilities(LABELS), [1, wrong])


def test_the_transform_keeps_metadata_and_passes_missing_keys_on():
    affine = torch.diag(torch.tensor([2.0, 2, 2, 1]))
    data = {"pred": MetaTensor(probabilities(LABELS)[..., None], affine=affine), "other": 1}
    result = LargestComponentd("pred", [1])(data)
    assert result["pred"].argmax(0)[2, 0].item() == 0
    assert result["other"] == 1
    assert torch.equal(result["pred"].affine, affine.to(result["pred"].affine))
    assert data["pred"].argmax(0)[2, 0].item() == 1
    assert LargestComponentd("pred", [1], allow_missing_keys=True)({"other": 1}) == {"other": 1}
    with pytest.raises(KeyError):
        LargestComponentd("pred", [1])({"other": 1})
