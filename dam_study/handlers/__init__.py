"""What an experiment keeps for its figures."""

from dam_study.handlers.difficulty_frames import DifficultyFrames, write_arrays
from dam_study.handlers.kept_slices import KeptSlices

__all__ = ["DifficultyFrames", "KeptSlices", "write_arrays"]
