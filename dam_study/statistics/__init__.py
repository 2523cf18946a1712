"""Intervals and tests over paired cases, the errors that several networks share, and the score of PROMISE12."""

from dam_study.statistics.common_errors import shared_errors
from dam_study.statistics.promise12 import TABLE_2_REFERENCE, metric_score, promise12_score

__all__ = ["TABLE_2_REFERENCE", "metric_score", "promise12_score", "shared_errors"]
