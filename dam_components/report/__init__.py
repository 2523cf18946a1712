"""The old place of handlers, pictures and tables; see ``handlers``, ``figures`` and the package ``dam_study``."""

from dam_components.moved_names import moved_names

HANDLERS = ("CaseMetrics", "ConfidencePicture", "ReportSummary", "summarise", "write_summary")
FIGURES = ("draw_case", "draw_review", "most_telling_slices", "save_figure")
STUDY = ("DifficultyFrames", "KeptSlices", "TrainingCurves", "write_arrays")

__getattr__ = moved_names(
    __name__,
    dict.fromkeys(HANDLERS, "dam_components.handlers")
    | dict.fromkeys(FIGURES, "dam_components.figures")
    | dict.fromkeys(STUDY, "dam_study.handlers")
    | {"draw_training_curves": "dam_study.report.training_curves"},
)
