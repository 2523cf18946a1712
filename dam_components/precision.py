"""Mixed precision where the machine is fast with it, and float32 where it would go wrong."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import nn

__all__ = ["choose_amp", "cpu_has_bfloat16", "use_right_gradients"]

ASKED = {"auto": "auto", "true": True, "false": False}


def choose_amp(amp: bool | str, device: str | torch.device) -> bool:
    """Whether networks run in mixed precision: float16 on CUDA, bfloat16 on a CPU.

    Without instructions for bfloat16, a CPU is many times slower in it than in float32. It then stays
    with float32; if mixed precision was asked for, one warning says so.

    Args:
        amp: ``True``, ``False``, or ``"auto"``: where it is fast.
        device: where the networks run.

    Raises:
        ValueError: for any other word.

    Example:
        >>> choose_amp("auto", "cuda:0"), choose_amp(False, "cuda:0")
        (True, False)
        >>> choose_amp("auto", "cpu") == cpu_has_bfloat16()
        True
    """
    asked = ASKED.get(str(amp).lower())
    if asked is None:
        raise ValueError(f'amp must be True, False or "auto", got {amp!r}')
    kind = torch.device(device).type
    if kind == "cpu" and asked and not cpu_has_bfloat16():
        if asked is True:
            _warn_once()
        return False
    return kind in ("cpu", "cuda") if asked == "auto" else bool(asked)


@cache
def cpu_has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16, and oneDNN uses them.

    oneDNN obeys the environment's ``ONEDNN_MAX_CPU_ISA``: with ``AVX2`` it behaves as on a CPU that has no more.
    """
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if hasattr(torch.cpu, "get_capabilities"):  # avx512_bf16 and amx_bf16 of x86, bf16 of ARM
        return any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name)
    asks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(ask() for ask in asks if ask is not None)


def use_right_gradients(network: nn.Module) -> nn.Module:
    """Lets 3D convolutions work in float32 where their gradient in bfloat16 would be wrong on a CPU.

    That is where the first axis of their input is shorter than their kernel. PyTorch 2.13 then gives a weight gradient
    that has nothing to do with the right one, and sometimes NaN (a 3x3x3 convolution over 2 voxels, a 5x5x5 one over 2
    to 4). Other sizes, devices and networks in float32 stay as they were.

    Example:
        >>> network = use_right_gradients(nn.Conv3d(1, 4, 3, padding=1))
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     network(torch.rand(1, 1, 2, 6, 6)).dtype
        torch.bfloat16
    """
    for layer in network.modules():
        if type(layer) is nn.Conv3d:
            layer.__class__ = _RightConv3d
    return network


class _RightConv3d(nn.Conv3d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu" or x.shape[-3] >= self.kernel_size[0] or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))


_RightConv3d.__name__ = "Conv3d"  # a network prints as before, so that it is the same network to `identify`


@cache
def _warn_once() -> None:
    warnings.warn(
        "amp: this CPU has no fast bfloat16, so the networks run in float32; amp=False or auto says nothing",
        stacklevel=3,
    )
