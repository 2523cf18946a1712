"""Intervals and tests over paired cases, and the errors that several networks share."""

from dam_study.statistics.common_errors import shared_errors

__all__ = ["shared_errors"]
