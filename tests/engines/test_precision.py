"""Mixed precision is on where it is fast: the machine is asked, and the same answer holds everywhere."""

import os
import pickle
import subprocess
import sys
import warnings
from copy import deepcopy

import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from torch import nn

from dam_components import precision
from dam_components.engines import AutocastInferer
from dam_components.precision import choose_amp, use_right_gradients
from dam_components.transforms import ConfidenceMapd


@pytest.fixture(params=[True, False], ids=["bfloat16", "none"])
def fast(request, monkeypatch):
    precision._warn_once.cache_clear()
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: request.param)
    return request.param


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_cpu_decides_by_its_instructions(device, fast):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_amp("auto", device) is fast
        assert choose_amp("Auto", device) is fast
        assert choose_amp(False, device) is choose_amp("False", device) is False


def test_one_warning_where_it_would_be_slow(fast):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [choose_amp(True, "cpu"), choose_amp("true", "cpu"), choose_amp(True, "cpu")] == [fast] * 3
    assert (
        [str(warning.message)[:42] for warning in caught] == []
        if fast
        else ["amp: this CPU has no fast bfloat16, so the"]
    )


def test_other_devices():
    assert choose_amp("auto", "cuda:1")
    assert choose_amp(True, "cuda")
    assert not choose_amp(False, "cuda")
    assert not choose_amp("auto", "meta")
    assert choose_amp(True, "meta")
    with pytest.raises(ValueError, match="amp must be True, False or \"auto\", got 'yes'"):
        choose_amp("yes", "cpu")


def test_onednn_is_asked():
    script = "from dam_components.precision import cpu_has_bfloat16; print(cpu_has_bfloat16())"
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == "False", done.stderr


class Seen(torch.nn.Conv3d):
    """A layer that keeps the precision of what it computes."""

    def forward(self, x):
        y = super().forward(x)
        self.kind = y.dtype
        return y


@pytest.mark.parametrize("inner", [SimpleInferer(), SlidingWindowInferer((4, 4, 4), sw_batch_size=2)])
def test_inference_runs_in_the_precision_of_training(inner, fast, build):
    for amp, kind in ((True, fast), ("auto", fast), (False, False)):
        network, trained = Seen(1, 2, 1), Seen(1, 2, 1)
        assert AutocastInferer(inner, amp)(torch.rand(1, 1, 8, 8, 8), network).dtype == torch.float32
        build(batches=1, network=trained, amp=amp).run()
        assert network.kind == trained.kind == (torch.bfloat16 if kind else torch.float32)


def test_d_too(fast):
    network = Seen(3, 1, 1)
    data = {"pred": torch.rand(2, 4, 4, 4).softmax(0), "image": torch.rand(1, 4, 4, 4)}
    for inferer, amp in ((AutocastInferer(SimpleInferer(), "auto"), False), (None, "auto")):
        assert ConfidenceMapd("pred", network, inferer=inferer, amp=amp)(data)["confidence"].dtype == torch.float32
        assert network.kind == (torch.bfloat16 if fast else torch.float32)


def test_what_is_no_tensor_passes():
    both = AutocastInferer(SimpleInferer(), False)(torch.zeros(1, 1, 2), lambda x: [x, x.half()])
    assert [x.dtype for x in both] == [torch.float32, torch.float16]


def test_bfloat16_trains_right_over_a_short_first_axis(build, batches, monkeypatch):
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: True)
    short = [{key: value[:, :, :2].contiguous() for key, value in batch.items()} for batch in batches(1, size=16)]

    def gradients(amp):
        torch.manual_seed(0)
        S, D = (
            torch.nn.Sequential(
                *(torch.nn.Conv3d(a, b, 3, padding=1) for a, b in ((inputs, 16), (16, 16), (16, outputs)))
            )
            for inputs, outputs in ((1, 2), (3, 1))
        )
        build(
            train_data_loader=short,
            network=S,
            confidence_network=D,
            optimizer=torch.optim.SGD(S.parameters(), 0.0),
            confidence_optimizer=torch.optim.SGD(D.parameters(), 0.0),
            amp=amp,
            lambda_adv=0,
        ).run()
        return [layer.weight.grad for layer in (*S, *D)]

    for half, full in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(half, full, rtol=0, atol=0.1 * full.abs().max().item())


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("first_axis", [1, 2, 3, 4, 6])
def test_gradients_in_bfloat16_are_right_on_short_axes(kernel, first_axis):
    torch.manual_seed(0)
    layer = use_right_gradients(nn.Conv3d(16, 16, kernel, padding=kernel // 2))
    x = torch.randn(2, 16, first_axis, 6, 6)
    weights = torch.randn(2, 16, first_axis, 6, 6).bfloat16()

    def gradient(enabled):
        layer.weight.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = layer(x)
        assert y.dtype == (torch.bfloat16 if enabled else torch.float32)
        y.backward(weights.to(y.dtype))
        return layer.weight.grad

    right = gradient(False)
    torch.testing.assert_close(gradient(True), right, rtol=0, atol=0.02 * right.abs().max().item())


def test_layers_with_right_gradients_are_the_same_network():
    plain = nn.Sequential(nn.Conv3d(1, 4, 3), nn.Conv2d(1, 4, 3))
    right = use_right_gradients(deepcopy(plain))
    assert str(right) == str(plain)
    assert [type(layer) is type(other) for layer, other in zip(right, plain, strict=True)] == [False, True]
    assert type(pickle.loads(pickle.dumps(right))[0]) is type(right[0])
