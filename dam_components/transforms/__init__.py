"""Transforms that the bundle's JSON needs and MONAI lacks."""

from dam_components.transforms.case_report import CaseReportd, case_quality
from dam_components.transforms.cases import CheckCased, LoadCased
from dam_components.transforms.confidence_map import ConfidenceMapd
from dam_components.transforms.review_picture import ReviewPictured
from dam_components.transforms.save import WholeFileWriter
from dam_components.transforms.spacing import BundleSpacingd

__all__ = [
    "BundleSpacingd",
    "CaseReportd",
    "CheckCased",
    "ConfidenceMapd",
    "LoadCased",
    "ReviewPictured",
    "WholeFileWriter",
    "case_quality",
]
