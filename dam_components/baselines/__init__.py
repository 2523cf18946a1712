"""The old place of ``dam_study.baselines``."""

from dam_components.moved_names import moved_names

NAMES = ("Atlases", "MultiAtlasFusion", "Registration", "SparsePatchMatching", "StackedSparseAutoencoder")

__getattr__ = moved_names(__name__, dict.fromkeys(NAMES, "dam_study.baselines"))
