"""The trainers of S and D, and the evaluator that goes on after a case that fails."""

from dam_components.engines.autocast_inferer import AutocastInferer
from dam_components.engines.case_evaluator import CaseEvaluator
from dam_components.engines.confidence_trainer import ConfidenceEvents, ConfidenceKeys, ConfidenceTrainer
from dam_components.engines.large_case import LargeCaseInferer
from dam_components.engines.semi_supervised import SemiSupervisedConfidenceTrainer, SemiSupervisedKeys
from dam_components.moved_names import moved_names

__all__ = [
    "AutocastInferer",
    "CaseEvaluator",
    "ConfidenceEvents",
    "ConfidenceKeys",
    "ConfidenceTrainer",
    "LargeCaseInferer",
    "SemiSupervisedConfidenceTrainer",
    "SemiSupervisedKeys",
]

HANDLERS = ("BestSaver", "FinalSaver", "RunLoader", "RunSaver", "SeedEpochs", "StopOnInterrupt", "newest_checkpoint")

__getattr__ = moved_names(__name__, dict.fromkeys(HANDLERS, "dam_components.handlers"))
