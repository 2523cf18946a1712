"""The windows of this machine."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dam_components.planning.plan import PATCH_VOXELS, SEVERAL_FROM
from dam_components.planning.window_budget import window_budget


def test_without_a_gpu_the_window_is_a_cpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert window_budget(3) == window_budget(200) == (PATCH_VOXELS, "a CPU")


@pytest.mark.parametrize(
    ("gb", "classes", "voxels"),
    [
        (80, 3, 2_000_000),
        (24, 3, 2_000_000),
        (24, 118, 680_272),  # 24e9 * 0.5 / (1150 + 65 * 118) / 2
        (8, 3, 1_486_988),
        (0.1, 3, PATCH_VOXELS),
    ],
)
def test_on_a_gpu_two_windows_fit_half_of_its_memory(monkeypatch, gb, classes, voxels):
    card = SimpleNamespace(name="Card", total_memory=int(gb * 1e9))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    assert window_budget(classes) == (voxels, f"Card with {gb:.0f} GB")


def test_a_gpu_of_8_gb_takes_several_windows_a_step(monkeypatch):
    card = SimpleNamespace(name="Card", total_memory=8 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    assert window_budget(3)[0] >= SEVERAL_FROM
