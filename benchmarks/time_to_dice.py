"""How long S and D, and MONAI's UNet and DynUNet with DiceCE, train until the validation's mean Dice reaches a mark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fire
import pandas as pd
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer, Trainer
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric
from monai.networks.nets import DynUNet
from monai.networks.utils import one_hot
from torch import nn

from benchmarks.bundle_parts import bundle_parts, hippocampus
from benchmarks.inference import unet_like
from benchmarks.pairing import clock
from benchmarks.tables import write_table
from benchmarks.training_steps import AutocastInferer

__all__ = ["RUNS", "main", "mean_dice", "measure"]


class Run:
    """One variant: its trainer, fed a batch at a time, S, and the seconds it has trained."""

    def __init__(self, trainer: Trainer, network: nn.Module, optimizers: list[torch.optim.Optimizer]) -> None:
        self.trainer = trainer
        self.network = network
        self.optimizers = optimizers
        self.rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        self.seconds = 0.0
        self.reached_s: float | None = None
        self.dice = 0.0

    def slow_down(self, budget_s: float) -> None:
        """The learning rate falls with what is left of the budget, as train.json's does with what is left of the
        epochs."""
        left = max(0.0, 1 - self.seconds / budget_s) ** 0.9
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * left

    def epoch(self, batches: Iterator[Any], budget_s: float, now: Callable[[], float]) -> None:
        self.trainer.state.epoch += 1
        self.slow_down(budget_s)
        for batch in batches:
            start = now()
            self.trainer._iteration(self.trainer, batch)
            self.seconds += now() - start
            if self.seconds >= budget_s:
                return


def ours(parser: ConfigParser) -> Run:
    """train.json as it is: S and D together."""
    trainer = parser.get_parsed_content("train#trainer")
    optimizers = [parser.get_parsed_content(name) for name in ("optimizer", "confidence_optimizer")]
    return Run(trainer, parser.get_parsed_content("network"), optimizers)


def by_monai(parser: ConfigParser, network: nn.Module, loss: nn.Module) -> Run:
    """The network with DiceCE in a SupervisedTrainer, with train.json's optimizer."""
    device, amp = (parser.get_parsed_content(name) for name in ("device", "amp"))
    network = network.to(device)
    rate, decay = (parser.get_parsed_content(name) for name in ("learning_rate", "weight_decay"))
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
    scaled = amp and device.type == "cuda"  # MONAI's AMP, with its scaler, is for CUDA alone
    trainer = SupervisedTrainer(
        device,
        1,
        [None],
        network,
        optimizer,
        loss,
        inferer=AutocastInferer() if amp and not scaled else None,
        amp=scaled,
        optim_set_to_none=True,
    )
    trainer.scaler = torch.amp.GradScaler(device.type) if scaled else None  # type: ignore[assignment]
    return Run(trainer, network, [optimizer])


def unet(parser: ConfigParser) -> Run:
    S = parser.get_parsed_content("network_def")
    classes, strides = (parser.get_parsed_content(name) for name in ("num_classes", "strides"))
    return by_monai(parser, unet_like(S, classes, strides), DiceCELoss(to_onehot_y=True, softmax=True))


def dynunet(parser: ConfigParser) -> Run:
    classes, strides, channels, images = (
        parser.get_parsed_content(name) for name in ("num_classes", "strides", "channels", "image_channels")
    )
    network = DynUNet(
        3,
        images,
        classes,
        kernel_size=[3] * len(channels),
        strides=[1, *strides],
        upsample_kernel_size=strides,
        filters=channels,
        res_block=True,
    )
    return by_monai(parser, network, DiceCELoss(to_onehot_y=True, softmax=True))


RUNS: dict[str, Callable[[ConfigParser], Run]] = {
    "S and D": ours,
    "MONAI UNet, DiceCE": unet,
    "MONAI DynUNet, DiceCE": dynunet,
}


@torch.no_grad()
def mean_dice(parser: ConfigParser, network: nn.Module) -> float:
    """Mean Dice of the structures over the validation cases."""
    device, classes, inferer = (
        parser.get_parsed_content(name) for name in ("device", "num_classes", "validate#inferer")
    )
    metric = DiceMetric(include_background=False)
    network.eval()
    for batch in parser.get_parsed_content("validate#dataloader"):
        logits = inferer(batch["image"].to(device), network)
        predicted = one_hot(logits.argmax(1, keepdim=True), classes)
        metric(predicted, one_hot(batch["label"].to(device), classes))
    network.train()
    dice: Any = metric.aggregate()
    return float(dice)


def measure(budget_s: float, mark: float = 0.86, every: int = 2, **overrides: Any) -> pd.DataFrame:
    """One row a variant. The variants train in turn, an epoch each, from the same seed; only training counts.

    Args:
        budget_s: seconds of training for each; the learning rate reaches 0 with it.
        mark: the mean Dice to reach.
        every: epochs between two looks at the validation cases.
        overrides: of train.json.
    """
    parser = bundle_parts(**{"train#handlers": [], "warmup_epochs": 1, **overrides})
    _, now = clock(parser.get_parsed_content("device"))
    runs = {}
    for name, build in RUNS.items():
        torch.manual_seed(0)
        runs[name] = build(parser)
    epoch = 0
    while any(run.seconds < budget_s for run in runs.values()):
        epoch += 1
        for run in runs.values():
            if run.seconds >= budget_s:
                continue
            run.epoch(iter(parser.get_parsed_content("train#dataloader")), budget_s, now)
            if epoch % every == 0 or run.seconds >= budget_s:
                run.dice = mean_dice(parser, run.network)
                if run.reached_s is None and run.dice >= mark:
                    run.reached_s = run.seconds
    return pd.DataFrame(
        [
            {
                "variant": name,
                "epochs": run.trainer.state.epoch,
                "budget_s": budget_s,
                "mark": mark,
                "reached_s": run.reached_s,
                "final_dice": run.dice,
            }
            for name, run in runs.items()
        ]
    )


def main(
    output_dir: str = "docs/results/benchmarks",
    device: str = "cpu",
    threads: int = 1,
    budget_s: float = 900.0,
    mark: float = 0.86,
    amp: bool = True,
    dataset_dir: str | None = None,
) -> None:
    """Writes time_to_dice.md and time_to_dice.csv; on the hippocampus set unless another is named."""
    torch.set_num_threads(threads)
    data = dataset_dir or hippocampus()
    table = measure(budget_s, mark, device=f"$torch.device('{device}')", amp=amp, dataset_dir=data)
    title = f"Seconds of training to a mean Dice of {mark} on the validation cases"
    write_table(table, output_dir, "time_to_dice", title, device)


if __name__ == "__main__":
    fire.Fire(main)
