"""One training step of S as functions of no argument: alone, beside D, and in MONAI's two adversarial
trainers with the same S and D and the nearest losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import AdversarialTrainer, GanTrainer, SupervisedTrainer, Trainer
from monai.engines.utils import IterationEvents
from monai.inferers import SimpleInferer
from torch import nn

from benchmarks.bundle_parts import bundle_parts
from dam_components.engines import ConfidenceTrainer
from dam_components.losses import AdversarialLoss, ConfidenceLoss, HybridLoss

__all__ = ["STEPS", "Problem", "build_step"]

LAMBDA_ADV = 0.005


@dataclass(frozen=True)
class Problem:
    """Sizes of data and networks, and how they run. The defaults are issue-sized: batch 4 of 64x64x16."""

    patch: Sequence[int] = (64, 64, 16)
    batch: int = 4
    classes: int = 3
    channels: Sequence[int] = (16, 32, 64, 128)
    strides: Sequence[Sequence[int] | int] = ((2, 2, 1), 2, 2)
    device: str = "cpu"
    amp: bool = False
    compile: bool = False

    def data(self) -> dict[str, torch.Tensor]:
        """A batch: noise, and labels of which most are background in blocks, as structures are."""
        generator = torch.Generator().manual_seed(0)
        image = torch.randn(self.batch, 1, *self.patch, generator=generator)
        coarse = torch.randint(-2, self.classes, (self.batch, 1, *(max(1, n // 4) for n in self.patch)))
        label = nn.functional.interpolate(coarse.clamp_min(0).float(), tuple(self.patch), mode="nearest")
        return {"image": image.to(self.device), "label": label.to(self.device)}

    def parts(self) -> ConfigParser:
        """train.json at this size: networks, losses and their options are whatever it says."""
        return bundle_parts(
            device=torch.device(self.device),
            num_classes=self.classes,
            patch_size=list(self.patch),
            channels=list(self.channels),
            strides=list(self.strides),
        )

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """train.json's S and D."""
        torch.manual_seed(0)
        parts = self.parts()
        return tuple(parts.get_parsed_content(name) for name in ("network", "confidence_network"))


class AutocastInferer(SimpleInferer):
    """Runs a network under autocast and returns float32: AMP for MONAI's trainers where they have none."""

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        kind = inputs.device.type
        with torch.autocast(kind, dtype=torch.float16 if kind == "cuda" else torch.bfloat16):
            output = super().__call__(inputs, network, *args, **kwargs)
        return output.float() if isinstance(output, torch.Tensor) else [scale.float() for scale in output]


class Generator(nn.Module):
    """S for an adversarial trainer: from (P, X) to (P̂, X), both of which D takes as they are."""

    def __init__(self, S: nn.Module, classes: int) -> None:
        super().__init__()
        self.S = S
        self.classes = classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image = x[:, self.classes :]
        logits = self.S(image)
        finest = logits if isinstance(logits, torch.Tensor) else logits[0]
        return torch.cat([finest.float().softmax(1), image], dim=1)


def adamw(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4)


def with_onehot(batch: dict[str, torch.Tensor], classes: int) -> torch.Tensor:
    """(P, X), what D takes for real."""
    onehot = nn.functional.one_hot(batch["label"].squeeze(1).long(), classes).movedim(-1, 1).float()
    return torch.cat([onehot, batch["image"]], dim=1)


def supervised(problem: Problem) -> Trainer:
    """S with the hybrid loss, clipped as in train.json."""
    S, _ = problem.networks()
    largest = problem.parts().get_parsed_content("clip_grad_norm")
    by_monai = problem.amp and problem.device != "cpu"  # its AMP is for CUDA alone
    trainer = SupervisedTrainer(
        torch.device(problem.device),
        1,
        [None],
        S,
        adamw(S),
        HybridLoss(),
        inferer=AutocastInferer() if problem.amp and not by_monai else None,
        amp=by_monai,
        compile=problem.compile,
    )
    trainer.scaler = torch.amp.GradScaler(problem.device) if by_monai else None  # type: ignore[assignment]

    def clip() -> None:
        if trainer.scaler is not None:
            trainer.scaler.unscale_(trainer.optimizer)
        nn.utils.clip_grad_norm_(S.parameters(), largest)

    trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, clip)
    return trainer


def confidence(problem: Problem, **changes: Any) -> Trainer:
    """S beside D with train.json's options, after the warm-up; ``changes`` are the trainer's."""
    S, D = problem.networks()
    parts = problem.parts()
    names = ("loss", "confidence_loss", "adversarial_loss", "lambda_adv", "adversarial_interval", "clip_grad_norm")
    loss, confidence_loss, adversarial_loss, lambda_adv, interval, largest = map(parts.get_parsed_content, names)
    return ConfidenceTrainer(
        torch.device(problem.device),
        1,
        [None],
        S,
        adamw(S),
        loss,
        D,
        adamw(D),
        confidence_loss,
        adversarial_loss,
        **{"lambda_adv": lambda_adv, "adversarial_interval": interval, **changes},
        clip_grad_norm=largest,
        amp=problem.amp,
        compile=problem.compile,
    )


def adversarial(problem: Problem) -> Trainer:
    """MONAI's AdversarialTrainer: hybrid loss on P̂, and D real or fake."""
    S, D = problem.networks()
    by_monai = problem.amp and problem.device != "cpu"
    inferer = AutocastInferer() if problem.amp and not by_monai else None
    generator = Generator(S, problem.classes)
    hybrid, soft, judge = HybridLoss(softmax=False), AdversarialLoss(), ConfidenceLoss("adversarial")

    def prepare(batch: Any, device: Any = None, non_blocking: bool = False, **kwargs: Any) -> tuple:
        return with_onehot(batch, problem.classes), batch["label"]

    def d_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return judge.cross_entropy(real, torch.ones_like(real), None) + judge.cross_entropy(
            fake, torch.zeros_like(fake), None
        )

    return AdversarialTrainer(
        torch.device(problem.device),
        1,
        [None],
        generator,
        adamw(S),
        lambda logits: LAMBDA_ADV * soft(logits),
        lambda fakes, labels: hybrid(fakes[:, : problem.classes], labels),
        D,
        adamw(D),
        d_loss,
        prepare_batch=prepare,
        g_inferer=inferer,
        d_inferer=inferer,
        amp=by_monai,
        optim_set_to_none=True,
    )


def gan(problem: Problem) -> Trainer:
    """MONAI's GanTrainer, whose latents are the image; it has no AMP of its own."""
    S, D = problem.networks()
    inferer: SimpleInferer = AutocastInferer() if problem.amp else SimpleInferer()
    generator = Generator(S, problem.classes)
    hybrid, soft, judge = HybridLoss(softmax=False), AdversarialLoss(), ConfidenceLoss("adversarial")
    present: dict[str, torch.Tensor] = {}

    def prepare(batch: Any, device: Any = None, non_blocking: bool = False, **kwargs: Any) -> torch.Tensor:
        present.update(batch, real=with_onehot(batch, problem.classes))
        return present["real"]

    def d_loss(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        on_real, on_fake = inferer(real, D), inferer(fake.detach(), D)
        return judge.cross_entropy(on_real, torch.ones_like(on_real), None) + judge.cross_entropy(
            on_fake, torch.zeros_like(on_fake), None
        )

    def g_loss(fake: torch.Tensor) -> torch.Tensor:
        return hybrid(fake[:, : problem.classes], present["label"]) + LAMBDA_ADV * soft(inferer(fake, D))

    return GanTrainer(
        torch.device(problem.device),
        1,
        DataLoader(Dataset([0] * problem.batch), batch_size=problem.batch),
        generator,
        adamw(S),
        g_loss,
        D,
        adamw(D),
        d_loss,
        g_inferer=inferer,
        d_prepare_batch=prepare,
        g_prepare_batch=lambda **_: present["real"],
        optim_set_to_none=True,
    )


STEPS: dict[str, Callable[[Problem], Trainer]] = {
    "supervised": supervised,
    "ConfidenceTrainer": confidence,
    "ConfidenceTrainer, Eq. 6 in every step": partial(confidence, adversarial_interval=1),
    "ConfidenceTrainer without Eq. 6": partial(confidence, lambda_adv=0.0),
    "AdversarialTrainer": adversarial,
    "GanTrainer": gan,
}


def build_step(variant: str, problem: Problem) -> Callable[[], object]:
    """One iteration of the variant's trainer on one batch, again and again.

    Raises:
        ValueError: if there is no such variant.
    """
    if variant not in STEPS:
        raise ValueError(f"variant must be one of {list(STEPS)}, got {variant!r}")
    trainer = STEPS[variant](problem)
    trainer.state.epoch = 1
    batch = problem.data()

    def step() -> object:
        trainer.state.iteration += 1
        return trainer._iteration(trainer, batch)

    return step
