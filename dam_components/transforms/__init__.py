"""Transforms that the bundle's JSON needs and MONAI lacks."""

from dam_components.transforms.cases import CheckCased, LoadCased
from dam_components.transforms.confidence_map import ConfidenceMapd
from dam_components.transforms.save import WholeFileWriter
from dam_components.transforms.spacing import BundleSpacingd

__all__ = ["BundleSpacingd", "CheckCased", "ConfidenceMapd", "LoadCased", "WholeFileWriter"]
