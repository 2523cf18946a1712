"""What people look at: pictures and tables."""

from dam_components.report.case_metrics import CaseMetrics, summarise
from dam_components.report.pictures import ConfidencePicture, draw_case, most_telling_slices, save_figure

__all__ = ["CaseMetrics", "ConfidencePicture", "draw_case", "most_telling_slices", "save_figure", "summarise"]
