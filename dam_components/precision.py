"""Mixed precision where the machine is fast with it."""

from __future__ import annotations

import warnings
from functools import cache

import torch

__all__ = ["choose_amp", "cpu_has_bfloat16"]

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


@cache
def _warn_once() -> None:
    warnings.warn(
        "amp: this CPU has no fast bfloat16, so the networks run in float32; amp=False or auto says nothing",
        stacklevel=3,
    )
