"""What people look at: pictures and tables."""

from dam_components.report.case_metrics import CaseMetrics, summarise
from dam_components.report.difficulty_frames import DifficultyFrames, write_arrays
from dam_components.report.kept_slices import KeptSlices
from dam_components.report.pictures import ConfidencePicture, draw_case, most_telling_slices, save_figure
from dam_components.report.review import draw_review
from dam_components.report.summary import ReportSummary, write_summary
from dam_components.report.training_curves import TrainingCurves, draw_training_curves

__all__ = [
    "CaseMetrics",
    "ConfidencePicture",
    "DifficultyFrames",
    "KeptSlices",
    "ReportSummary",
    "TrainingCurves",
    "draw_case",
    "draw_review",
    "draw_training_curves",
    "most_telling_slices",
    "save_figure",
    "summarise",
    "write_arrays",
    "write_summary",
]
