"""Pictures of a case and of a training."""

from dam_components.figures.curves import draw_training_curves
from dam_components.figures.pictures import draw_case, most_telling_slices, save_figure
from dam_components.figures.review import draw_review

__all__ = ["draw_case", "draw_review", "draw_training_curves", "most_telling_slices", "save_figure"]
