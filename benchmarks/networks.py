"""S against a plain UNet of its size: a window in inference, and a training step."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from unittest.mock import patch

import fire
import pandas as pd
import torch
from monai.networks.nets import UNet
from torch import nn

from benchmarks.inference import BUNDLE, size, unet_like
from benchmarks.pairing import interleave, time_rows
from benchmarks.tables import write_table
from benchmarks.training_steps import Problem
from dam_components.losses import HybridLoss
from dam_components.networks import EnhancedUNet, enhanced_unet
from dam_components.networks.cpu_layers import FASTER

__all__ = ["main", "measure"]


class WithPyTorchsLayers(nn.Module):
    """S with PyTorch's own layers and order in memory: what it was before ``cpu_layers``."""

    def __init__(self, S: nn.Module) -> None:
        super().__init__()
        plain = {fast: slow for slow, fast in FASTER.items()}
        self.S = deepcopy(S)
        for layer in self.S.modules():
            layer.__class__ = plain.get(type(layer), type(layer))

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """As S."""
        with patch.object(enhanced_unet, "channels_last", lambda x: x):
            return self.S(x)


def networks(problem: Problem) -> dict[str, nn.Module]:
    """The plain UNet first."""
    sizes = {"channels": tuple(problem.channels), "strides": tuple(problem.strides), "out_channels": problem.classes}
    S = EnhancedUNet(**sizes)  # type: ignore[arg-type]
    plain: UNet = unet_like(S, problem.classes, problem.strides)
    variants = {
        f"MONAI's UNet, {size(plain) / size(S):.2f} of S's parameters": plain,
        "S with PyTorch's layers": WithPyTorchsLayers(S),
        "S": S,
        "S, lean": EnhancedUNet(**sizes, lean=True),  # type: ignore[arg-type]
    }
    return {name: network.to(problem.device) for name, network in variants.items()}


def inference(network: nn.Module, problem: Problem) -> Callable[[], object]:
    """One batch of windows."""
    x = problem.data()["image"]

    @torch.inference_mode()
    def run() -> object:
        with torch.autocast(problem.device, enabled=problem.amp):
            return network.eval()(x)

    return run


def step(network: nn.Module, problem: Problem) -> Callable[[], object]:
    """Forward, hybrid loss, backward."""
    data, loss = problem.data(), HybridLoss()

    def run() -> None:
        network.train().zero_grad()
        with torch.autocast(problem.device, enabled=problem.amp):
            logits = network(data["image"])
        scales = [scale.float() for scale in (logits if isinstance(logits, list) else [logits])]
        loss(scales if len(scales) > 1 else scales[0], data["label"]).backward()

    return run


def measure(problem: Problem, rounds: int = 15) -> pd.DataFrame:
    """One row a network and kind of work; ratios to the plain UNet."""
    tables = []
    for what, build in (("inference", inference), ("step", step)):
        work = {name: build(network, problem) for name, network in networks(problem).items()}
        table = pd.DataFrame(time_rows(interleave(work, rounds, problem.device, warmup=2), problem.device))
        table.insert(0, "what", what)
        tables.append(table)
    return pd.concat(tables)


def main(output_dir: str = "docs/results/benchmarks", device: str = "cpu", threads: int = 1, rounds: int = 15) -> None:
    """Writes networks.md and networks.csv: the bundle's window, batch 2, in float32 and under AMP."""
    torch.set_num_threads(threads)
    tables = []
    for amp in (False, True):
        problem = Problem(patch=BUNDLE.patch, strides=BUNDLE.strides, batch=2, device=device, amp=amp)
        table = measure(problem, rounds)
        table.insert(0, "precision", "AMP" if amp else "float32")
        tables.append(table)
    write_table(pd.concat(tables), output_dir, "networks", "S and a plain UNet, 2 windows of 40x56x40", device)


if __name__ == "__main__":
    fire.Fire(main)
