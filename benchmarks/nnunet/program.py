"""A program of nnunetv2, in this interpreter: ``python benchmarks/nnunet/program.py nnUNetv2_train -h``.

It is nnU-Net's own script but for torchvision: the one on PyPI is built for CUDA, and beside PyTorch for the CPU
nnU-Net would end at its first import.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

__all__ = ["nnunet_program"]

if __name__ in ("__main__", "__mp_main__"):  # nnU-Net's own worker processes too
    import dam_components.torchvision_operators  # noqa: F401


def nnunet_program(name: str, *words: str) -> list[str]:
    """Its command.

    Raises:
        SystemExit: nnunetv2 is not installed.
    """
    if not entry_points(group="console_scripts", name=name):
        raise SystemExit(f"{name} is not there: pip install -c constraints.txt -e '.[nnunet]'")
    return [sys.executable, str(Path(__file__).resolve()), name, *words]


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    next(iter(entry_points(group="console_scripts", name=sys.argv[0]))).load()()
