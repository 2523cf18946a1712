"""A whole run in small: shuffled and augmented data, schedulers, validation, the best model kept, resumable.

As a program, ``tiny_run.py FOLDER EPOCHS PAUSE [resume]``, it is what a test kills; ``PAUSE`` seconds an iteration make
it last.
"""

import sys
import time
from pathlib import Path

import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import LrScheduleHandler, MeanDice, ValidationHandler, from_engine
from monai.networks.nets import UNet
from monai.transforms import AsDiscreted, Compose, RandFlipd, RandGaussianNoised

from dam_components.engines import ConfidenceTrainer
from dam_components.handlers import BestSaver, RunLoader, RunSaver, SeedEpochs
from dam_components.losses import AdversarialLoss, ConfidenceLoss, DifficultyAwareHybridLoss
from dam_components.networks import ConfidenceNet


def build(
    folder: Path, epochs: int, resume: bool = False, seed: int = 0, handlers: tuple = (), workers: int = 0
) -> dict:
    """All parts of a run by name; ``parts["trainer"].run()`` starts it. ``seed`` is that of the initial weights."""
    torch.manual_seed(1)
    images = torch.randn(6, 1, 8, 8, 8)
    cases = [{"image": image, "label": (image > 0.3).float()} for image in images]
    random = Compose([RandFlipd(["image", "label"], prob=0.5), RandGaussianNoised("image", prob=0.8, std=0.5)])
    train = DataLoader(Dataset(cases[:4], random), batch_size=2, shuffle=True, num_workers=workers)
    torch.manual_seed(seed)
    S = UNet(3, 1, 2, (4, 8), (2,), norm="BATCH", dropout=0.1)
    D = ConfidenceNet(3, in_channels=3, num_classes=2, channels=(4, 8), strides=(2,))
    optimizers = [torch.optim.Adam(network.parameters(), 1e-2) for network in (S, D)]
    schedulers = [torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.7) for optimizer in optimizers]
    best = BestSaver(str(folder), {"network": S}, "model.pt")
    evaluator = SupervisedEvaluator(
        "cpu",
        DataLoader(Dataset(cases[4:]), batch_size=2),
        S,
        postprocessing=AsDiscreted(["pred", "label"], argmax=(True, False), to_onehot=2),
        key_val_metric={"dice": MeanDice(include_background=False, output_transform=from_engine(["pred", "label"]))},
        val_handlers=[best],
    )
    saved = {
        "network": S,
        "confidence_network": D,
        "optimizer": optimizers[0],
        "confidence_optimizer": optimizers[1],
        "scheduler": schedulers[0],
        "confidence_scheduler": schedulers[1],
        "best": best,
    }
    trainer = ConfidenceTrainer(
        "cpu",
        epochs,
        train,
        S,
        optimizers[0],
        DifficultyAwareHybridLoss(2, momentum=0.3),
        D,
        optimizers[1],
        ConfidenceLoss(),
        AdversarialLoss(),
        lambda_adv=0.1,
        warmup_epochs=1,
        train_handlers=[
            *([RunLoader(str(folder), saved)] if resume else []),
            SeedEpochs(5),
            *handlers,
            *(LrScheduleHandler(scheduler, print_lr=False) for scheduler in schedulers),
            ValidationHandler(1, evaluator),
            RunSaver(str(folder), saved),
        ],
    )
    return {**saved, "trainer": trainer, "evaluator": evaluator}


def state(parts: dict) -> dict:
    """All that training changes, as plain values and tensors."""
    return {name: part.state_dict() for name, part in parts.items() if name != "evaluator"}


if __name__ == "__main__":
    torch.set_num_threads(1)
    run = build(Path(sys.argv[1]), int(sys.argv[2]), "resume" in sys.argv)
    run["trainer"].add_event_handler(Events.ITERATION_COMPLETED, lambda: time.sleep(float(sys.argv[3])))
    run["trainer"].run()
    torch.save(state(run), Path(sys.argv[1]) / "final.pt")
