"""Which case to look at next."""

import pytest

from dam_components.metrics import least_confident_first


def test_numbers_and_reports_are_ordered_together_and_equal_cases_by_name():
    cases = {"d": 0.5, "a": 0.9, "c": {"case_confidence": 0.5, "review": False}, "b": 0, "e": 1}
    assert least_confident_first(cases) == ["b", "c", "d", "a", "e"]
    assert least_confident_first({}) == []


@pytest.mark.parametrize("wrong", [1.1, -0.1, float("nan"), None, True, "0.5", {}, {"case_confidence": None}])
def test_a_case_without_a_number_is_named(wrong):
    with pytest.raises(ValueError, match=r"case b must have a case_confidence in \[0, 1\], got .*: run inference"):
        least_confident_first({"a": 0.5, "b": wrong})
