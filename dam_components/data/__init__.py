"""Data: where it lies, and which cases train, validate and test."""

from dam_components.data.bundle_root import find_bundle_root
from dam_components.data.case_reports import case_confidence
from dam_components.data.dataset_split import decathlon_split, out_of_fold_cases
from dam_components.data.few_labels import labelled_subset
from dam_components.data.folds import Fold, make_folds, read_folds, write_folds
from dam_components.data.hard_cases import HARD_KINDS, HardCased
from dam_components.data.inference_cases import ReadableCases, list_inference_cases
from dam_components.data.known_cases import warn_of_known_cases
from dam_components.data.one_case import collate_one_case
from dam_components.data.probability_cases import find_probabilities, list_stored_cases, stored_training_cases
from dam_components.data.shards import cases_to_do
from dam_components.data.stored_probabilities import read_probabilities
from dam_components.moved_names import moved_names

__all__ = [
    "HARD_KINDS",
    "Fold",
    "HardCased",
    "case_confidence",
    "ReadableCases",
    "cases_to_do",
    "decathlon_split",
    "find_bundle_root",
    "find_probabilities",
    "labelled_subset",
    "list_inference_cases",
    "list_stored_cases",
    "make_folds",
    "collate_one_case",
    "out_of_fold_cases",
    "read_folds",
    "read_probabilities",
    "stored_training_cases",
    "warn_of_known_cases",
    "write_folds",
]

SYNTHETIC = ("pelvic_spacing", "synthesize_pelvic", "write_pelvic_dataset")

__getattr__ = moved_names(__name__, dict.fromkeys(SYNTHETIC, "dam_components.synthetic"))
