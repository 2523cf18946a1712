"""Pictures of a case and of a training."""

from dam_components.figures.pictures import draw_case, most_telling_slices, save_figure
from dam_components.figures.review import draw_review
from dam_components.figures.training import draw_training
from dam_components.moved_names import moved_names

__all__ = ["draw_case", "draw_review", "draw_training", "most_telling_slices", "save_figure"]

__getattr__ = moved_names(__name__, {"draw_training_curves": "dam_study.report.training_curves"})
