"""One of two processes that feed a RunningDice its own half of a batch: ``running_dice_rank.py RANK SHARED_FOLDER``."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from dam_components.losses import RunningDice


def run(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=2)
    batch = torch.load(folder / "batch.pt", weights_only=True)
    dice = RunningDice(3, momentum=0.5)
    for values, labels in zip(batch["values"], batch["labels"], strict=True):
        dice.update(values[rank : rank + 1], labels[rank : rank + 1])
    torch.save(dice.value, folder / f"rank{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    run(int(sys.argv[1]), Path(sys.argv[2]))
