"""Transforms that the bundle's JSON needs and MONAI lacks."""

from dam_components.transforms.case_loading import CheckCased, LoadCased
from dam_components.transforms.case_report import CaseReportd, case_quality
from dam_components.transforms.confidence_map import ConfidenceMapd
from dam_components.transforms.largest_component import LargestComponentd, keep_largest_component
from dam_components.transforms.load_probabilities import LoadProbabilitiesd
from dam_components.transforms.nonzero_box import CropNonzerod, FillOutsided
from dam_components.transforms.review_picture import ReviewPictured
from dam_components.transforms.save import FractionWriter, WholeFileWriter, named_by_case
from dam_components.transforms.save_dicom import SaveDicomd
from dam_components.transforms.save_map import SaveMapd
from dam_components.transforms.slabwise import InvertByChanneld, PredictedClassd, SoftmaxInPlaced
from dam_components.transforms.spacing import BundleSpacingd
from dam_components.transforms.write_report import WriteReportd

__all__ = [
    "BundleSpacingd",
    "CaseReportd",
    "CheckCased",
    "ConfidenceMapd",
    "CropNonzerod",
    "FillOutsided",
    "FractionWriter",
    "InvertByChanneld",
    "LargestComponentd",
    "LoadCased",
    "LoadProbabilitiesd",
    "PredictedClassd",
    "ReviewPictured",
    "SaveDicomd",
    "SaveMapd",
    "SoftmaxInPlaced",
    "WholeFileWriter",
    "WriteReportd",
    "case_quality",
    "keep_largest_component",
    "named_by_case",
]
