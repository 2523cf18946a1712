"""The old place of ``dam_components.distributed``."""

from dam_components.moved_names import moved_names

NAMES = ("gather_from_ranks", "wait_for_other_ranks")

__getattr__ = moved_names(__name__, dict.fromkeys(NAMES, "dam_components.distributed"))
