import math

import pytest
import torch

from dam_components.metrics import structure_zone


def test_reaches_the_width_along_each_axis_and_no_further():
    mask = torch.zeros(9, 9, 9, dtype=torch.bool)
    mask[4, 4, 4] = True
    zone = structure_zone(mask, (1.0, 1.5, 4.0), width_mm=3.0)  # 3, 2 and 0 voxels
    expected = torch.zeros_like(mask)
    expected[1:8, 2:7, 4] = True
    assert torch.equal(zone, expected)


def test_is_cut_at_the_borders_and_joins_parts():
    mask = torch.zeros(7, 3, dtype=torch.bool)
    mask[0, 0] = mask[6, 2] = True
    expected = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 1], [0, 1, 1]]).bool()
    assert torch.equal(structure_zone(mask, (1.0, 1.0), width_mm=1.0), expected)


def test_width_0_is_the_structure_and_an_empty_one_has_none():
    mask = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0)) > 0.7
    kept = mask.clone()
    assert torch.equal(structure_zone(mask, (1.0, 1.0, 1.0), 0.0), mask)
    assert torch.equal(mask, kept)
    assert not structure_zone(torch.zeros(4, 5, dtype=torch.bool), (1.0, 1.0)).any()
    assert structure_zone(torch.ones(4, 5, dtype=torch.bool), (1.0, 1.0)).all()


@pytest.mark.parametrize("width", [-1.0, math.nan, math.inf])
def test_bad_input(width):
    with pytest.raises(ValueError, match="width_mm must be 0 or more"):
        structure_zone(torch.ones(3, dtype=torch.bool), (1.0,), width)
    with pytest.raises(ValueError, match="spacing_mm must be 1 positive numbers"):
        structure_zone(torch.ones(3, dtype=torch.bool), (1.0, 2.0))
