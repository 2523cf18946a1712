"""The study that measured the parts of ``dam_components``: experiments, baselines, statistics and reports."""

from dam_components import __version__

__all__ = ["__version__"]
