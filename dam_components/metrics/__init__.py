"""Metrics that MONAI lacks, and the per-case table of those it has.

Nothing here imports a network, a loss, a transform or a handler.
"""

from dam_components.metrics.calibration_bins import calibration_counts, pooled_calibration_error
from dam_components.metrics.case_bootstrap import bootstrap_pooled, percentile_interval
from dam_components.metrics.case_table import case_metrics, write_cases_csv
from dam_components.metrics.connected_components import largest_piece
from dam_components.metrics.dice_agreement import CaseAgreement, case_agreement
from dam_components.metrics.dice_calibration import (
    ClassCalibration,
    DiceCalibration,
    conformal_quantile,
    fit_dice_map,
    min_cases,
)
from dam_components.metrics.dice_prediction import predicted_dice
from dam_components.metrics.doubt import (
    entropy_doubt,
    fit_temperature,
    predicted_class_doubt,
    softmax_doubt,
    temperature_doubt,
)
from dam_components.metrics.least_confident import least_confident_first
from dam_components.metrics.regions import REGIONS, apex_is_first, axial_axis, axial_thirds
from dam_components.metrics.rising_calibration import fit_rising_curve, rising_curve
from dam_components.metrics.score_histogram import ScoreHistogram, logit_scale
from dam_components.metrics.surface_band import error_band
from dam_components.metrics.surroundings import structure_zone
from dam_components.metrics.volume import (
    absolute_volume_difference_percent,
    relative_volume_difference_percent,
    volume_ml,
)
from dam_components.moved_names import moved_names

__all__ = [
    "REGIONS",
    "CaseAgreement",
    "ClassCalibration",
    "DiceCalibration",
    "ScoreHistogram",
    "absolute_volume_difference_percent",
    "apex_is_first",
    "axial_axis",
    "axial_thirds",
    "bootstrap_pooled",
    "calibration_counts",
    "predicted_class_doubt",
    "case_agreement",
    "case_metrics",
    "conformal_quantile",
    "entropy_doubt",
    "error_band",
    "fit_dice_map",
    "fit_rising_curve",
    "fit_temperature",
    "largest_piece",
    "min_cases",
    "least_confident_first",
    "logit_scale",
    "percentile_interval",
    "pooled_calibration_error",
    "predicted_dice",
    "relative_volume_difference_percent",
    "rising_curve",
    "softmax_doubt",
    "structure_zone",
    "temperature_doubt",
    "volume_ml",
    "write_cases_csv",
]

__getattr__ = moved_names(
    __name__,
    {
        "called_doubt": "dam_components.metrics:predicted_class_doubt",
        "least_cases": "dam_components.metrics:min_cases",
        "metric_score": "dam_study.statistics",
        "promise12_score": "dam_study.statistics",
        "TABLE_2_REFERENCE": "dam_study.statistics",
    },
)
