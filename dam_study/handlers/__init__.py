"""What an experiment keeps for its figures."""

from dam_study.handlers.difficulty_frames import DifficultyFrames, write_arrays
from dam_study.handlers.kept_slices import KeptSlices
from dam_study.handlers.training_curves import TrainingCurves

__all__ = ["DifficultyFrames", "KeptSlices", "TrainingCurves", "write_arrays"]
