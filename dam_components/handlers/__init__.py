"""What happens around the engines' steps: savers and loaders, metrics of cases, pictures, summary, seeds, Ctrl-C."""

from dam_components.handlers.case_metrics import CaseMetrics, summarise
from dam_components.handlers.checkpoints import BestSaver, FinalSaver, RunLoader, RunSaver, newest_checkpoint
from dam_components.handlers.confidence_picture import ConfidencePicture
from dam_components.handlers.progress import TrainingProgress
from dam_components.handlers.run_control import SeedEpochs, StopOnInterrupt
from dam_components.handlers.summary import ReportSummary, write_summary
from dam_components.moved_names import moved_names

__all__ = [
    "BestSaver",
    "CaseMetrics",
    "ConfidencePicture",
    "FinalSaver",
    "ReportSummary",
    "RunLoader",
    "RunSaver",
    "SeedEpochs",
    "StopOnInterrupt",
    "TrainingProgress",
    "newest_checkpoint",
    "summarise",
    "write_summary",
]

__getattr__ = moved_names(__name__, {"TrainingCurves": "dam_study.handlers"})
