import pytest

from dam_components.data.finding import Finding, at_level


def test_a_finding_is_one_line():
    assert str(Finding("note", "a", "is odd")) == "note: a is odd"
    assert str(Finding("error", "a", "is odd", "mend it")) == "error: a is odd: mend it"


def test_findings_by_level_keep_their_order():
    first, second, third = Finding("error", "a", ""), Finding("note", "b", ""), Finding("error", "c", "")
    assert at_level([first, second, third], "error") == [first, third]


def test_an_unknown_level():
    with pytest.raises(ValueError, match="level must be one of error, warning, note, got 'bad'"):
        Finding("bad", "a", "b")
