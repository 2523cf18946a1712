"""What people look at: pictures and tables."""

from dam_components.report.pictures import ConfidencePicture, draw_case, most_telling_slices, save_figure

__all__ = ["ConfidencePicture", "draw_case", "most_telling_slices", "save_figure"]
