"""What people look at: pictures and tables."""

from dam_components.report.case_metrics import CaseMetrics, summarise
from dam_components.report.pictures import ConfidencePicture, draw_case, most_telling_slices, save_figure
from dam_components.report.review import draw_review
from dam_components.report.summary import ReportSummary, write_summary

__all__ = [
    "CaseMetrics",
    "ConfidencePicture",
    "ReportSummary",
    "draw_case",
    "draw_review",
    "most_telling_slices",
    "save_figure",
    "summarise",
    "write_summary",
]
