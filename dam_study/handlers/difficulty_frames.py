"""Figure 4 of Nie et al., AAAI 2019: where D sees difficulty, beside where the focal loss does, as training goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.inferers import Inferer
from torch import nn

from dam_components.atomic_files import whole_file

__all__ = ["DifficultyFrames", "frame_epochs", "write_arrays"]


def frame_epochs(epochs: int, frames: int) -> list[int]:
    """Epochs at which to look, from the first to the last.

    Example:
        >>> frame_epochs(60, 5), frame_epochs(3, 5)
        ([1, 16, 30, 45, 60], [1, 2, 3])
    """
    return np.unique(np.linspace(1, epochs, frames).round().astype(int)).tolist()


def write_arrays(file: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
    """Writes a compressed ``.npz``, to a temporary name first."""
    with whole_file(file) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]  # numpy's stubs take names for its options


class DifficultyFrames:
    """Handler for a trainer: keeps, at a few epochs, one slice of the difficulty mask 1 - M and of the focal mask
    1 - P̂ (P̂ of the true class).

    The slice is the middle one of the first case's label, along the last axis. The file holds ``image``, ``label`` and
    for each such epoch ``epoch<k>/difficulty`` and ``epoch<k>/focal``, all of one shape. A resumed training goes on
    with the file; without cases there is no file.

    Args:
        file: the ``.npz``.
        network: S.
        confidence_network: D.
        dataset: preprocessed cases with ``image`` and ``label``, channel first.
        inferer: how S and D run over a volume.
        epochs: of the whole training.
        frames: how many at most.

    Raises:
        ValueError: if ``frames`` is below 1.
    """

    def __init__(
        self,
        file: str | os.PathLike,
        network: nn.Module,
        confidence_network: nn.Module,
        dataset: Any,
        inferer: Inferer,
        epochs: int,
        frames: int = 5,
    ) -> None:
        if frames < 1:
            raise ValueError(f"frames must be at least 1, got {frames}")
        self.file = Path(file)
        self.network = network
        self.confidence_network = confidence_network
        self.dataset = dataset
        self.inferer = inferer
        self.epochs = frame_epochs(epochs, frames)
        self.arrays: dict[str, np.ndarray] = {}

    def attach(self, engine: Engine) -> None:
        """Registers the handler with the trainer."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.look)

    def started(self, engine: Engine) -> None:
        """Reads the frames of a run that is resumed."""
        self.arrays = {}
        if engine.state.epoch and self.file.is_file():
            with np.load(self.file) as kept:
                self.arrays = {name: kept[name] for name in kept.files}

    @torch.no_grad()
    def look(self, engine: Engine) -> None:
        """Adds a frame, if it is time for one."""
        epoch = engine.state.epoch
        if epoch not in self.epochs or not len(self.dataset):
            return
        case = self.dataset[0]
        device = next(self.network.parameters()).device
        image, label = (torch.as_tensor(np.asarray(case[key]))[None].to(device) for key in ("image", "label"))
        training = self.network.training, self.confidence_network.training
        self.network.eval(), self.confidence_network.eval()
        probabilities = self.inferer(image.float(), self.network).float().softmax(1)
        doubt = 1 - self.inferer(torch.cat([probabilities, image], 1), self.confidence_network).float().sigmoid()
        self.network.train(training[0]), self.confidence_network.train(training[1])
        focal = 1 - probabilities.gather(1, label.long())
        occupied = np.flatnonzero(label[0, 0].amax((0, 1)).cpu())
        z = int(occupied[len(occupied) // 2]) if len(occupied) else label.shape[-1] // 2
        cut = {"image": image, "label": label, f"epoch{epoch}/difficulty": doubt, f"epoch{epoch}/focal": focal}
        self.arrays |= {name: volume[0, 0, ..., z].cpu().numpy().astype(np.float32) for name, volume in cut.items()}
        self.arrays["label"] = self.arrays["label"].astype(np.uint8)
        write_arrays(self.file, self.arrays)
