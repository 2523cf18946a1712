"""The losses alone, forward and backward, beside MONAI's of the same kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import fire
import pandas as pd
import torch
from monai.losses import DiceCELoss, GeneralizedDiceFocalLoss

from benchmarks.memory import peak_mb
from benchmarks.pairing import interleave, time_rows
from benchmarks.tables import write_table
from dam_components.losses import DifficultyAwareHybridLoss, HybridLoss

__all__ = ["LOSSES", "build_loss", "main", "measure"]

LOSSES: dict[str, Callable[[int], torch.nn.Module]] = {
    "GeneralizedDiceFocalLoss": lambda _: GeneralizedDiceFocalLoss(to_onehot_y=True, softmax=True),
    "DiceCELoss": lambda _: DiceCELoss(to_onehot_y=True, softmax=True),
    "HybridLoss": lambda _: HybridLoss(),
    "DifficultyAwareHybridLoss": lambda classes: DifficultyAwareHybridLoss(classes),
}


def build_loss(
    name: str, classes: int = 20, patch: Sequence[int] = (64, 64, 16), batch: int = 4, device: str = "cpu"
) -> Callable[[], None]:
    """Forward and backward of one loss on random logits."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, classes, *patch, generator=generator).to(device).requires_grad_()
    labels = torch.randint(0, classes, (batch, 1, *patch), generator=generator).float().to(device)
    confidence = torch.rand(batch, 1, *patch, generator=generator).to(device)
    loss = LOSSES[name](classes).to(device)
    more = {"confidence": confidence} if name == "DifficultyAwareHybridLoss" else {}

    def run() -> None:
        logits.grad = None
        loss(logits, labels, **more).backward()

    return run


def measure(
    rounds: int = 30,
    classes: int = 20,
    patch: Sequence[int] = (64, 64, 16),
    batch: int = 4,
    device: str = "cpu",
    with_memory: bool = True,
) -> pd.DataFrame:
    """One row a loss; ratios to MONAI's generalized Dice and focal loss."""
    size = (classes, patch, batch, device)
    rows = time_rows(interleave({name: build_loss(name, *size) for name in LOSSES}, rounds, device), device)
    if with_memory:
        for row in rows:
            row["peak_mb"] = peak_mb(build_loss, (row["variant"], *size), device)
            row["memory_ratio"] = row["peak_mb"] / max(rows[0]["peak_mb"], 1e-9)
    return pd.DataFrame(rows)


def main(output_dir: str = "docs/results/benchmarks", device: str = "cpu", threads: int = 1, rounds: int = 30) -> None:
    """Writes losses.md and losses.csv."""
    torch.set_num_threads(threads)
    title = "Losses, forward and backward, 20 classes, 4x64x64x16"
    write_table(measure(rounds, device=device), output_dir, "losses", title, device)


if __name__ == "__main__":
    fire.Fire(main)
