"""The trainer of S and D, and the handlers that keep its runs."""

from dam_components.engines.checkpoints import BestSaver, FinalSaver, RunLoader, RunSaver, newest_checkpoint
from dam_components.engines.confidence_trainer import ConfidenceEvents, ConfidenceKeys, ConfidenceTrainer
from dam_components.engines.run_control import SeedEpochs, StopOnInterrupt
from dam_components.engines.semi_supervised import SemiSupervisedConfidenceTrainer, SemiSupervisedKeys

__all__ = [
    "BestSaver",
    "ConfidenceEvents",
    "ConfidenceKeys",
    "ConfidenceTrainer",
    "FinalSaver",
    "RunLoader",
    "RunSaver",
    "SeedEpochs",
    "SemiSupervisedConfidenceTrainer",
    "SemiSupervisedKeys",
    "StopOnInterrupt",
    "newest_checkpoint",
]
