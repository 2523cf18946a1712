"""Numbers of datasets of a few voxels, by hand."""

import json

import numpy as np
import pytest

from dam_components.planning.case_survey import CaseSurvey
from dam_components.planning.fingerprint import Intensity, make_fingerprint


def survey(inside, spacing=(1, 1, 3), labels=None, outside=((0.0,),), pieces=None):
    inside, outside, labels = np.array(inside, float), np.array(outside, float), labels or {0: 24, 1: 8}
    pieces = pieces or {label: 1.0 for label in labels if label}
    return CaseSurvey("a", "a.nii", len(inside), (4, 4, 2), (4, 4, 2), spacing, labels, pieces, inside, outside, "hash")


def test_by_hand():
    cases = [survey([[0.0, 2.0]]), survey([[4.0, 6.0]], (2, 1, 3), {0: 30, 2: 2}), survey([[3.0]], labels={0: 32})]
    found = make_fingerprint(cases, ["MRI"], {1: "a", 2: "b"})
    assert found.cases == 3
    assert found.label_names == {"1": "a", "2": "b"}
    assert not found.ct
    assert found.anisotropy == 3  # medians 1, 1, 3
    assert found.label_share == {"0": round(86 / 96, 8), "1": round(8 / 96, 8), "2": round(2 / 96, 8)}
    assert found.label_cases == {"0": 3, "1": 1, "2": 1}
    # 0 2 3 4 6: mean 3, variance (9 + 1 + 0 + 1 + 9) / 5 = 4; percentiles 0.5 % lie 0.02 of the way between neighbours
    assert found.inside == [Intensity(low=0.04, median=3, high=5.96, mean=3, sd=2)]
    assert found.outside == [Intensity(0, 0, 0, 0, 0)]
    assert json.loads(json.dumps(found.as_json()))["inside"][0]["sd"] == 2


def test_the_most_scattered_case_counts():
    labels = {0: 20, 1: 8, 2: 4}
    cases = [survey([[1.0]], labels=labels, pieces={1: 0.75, 2: 1.0}), survey([[1.0]])]  # 2 is in the first case alone
    assert make_fingerprint(cases, ["MRI"], {1: "a", 2: "b", 3: "none"}).largest_piece == {"1": 0.75, "2": 1.0}


@pytest.mark.parametrize(
    ("names", "ct"), [(["CT"], True), (["ct portal", "CT_late"], True), (["MRI"], False), (["CT", "PET"], False)]
)
def test_ct_is_known_by_the_names_of_all_channels(names, ct):
    case = survey([[1.0, 2.0]] * len(names), outside=[[0.0]] * len(names))
    assert make_fingerprint([case], names, {1: "a"}).ct is ct


def test_nothing_but_background():
    with pytest.raises(ValueError, match="no label holds anything but background: there is nothing to learn"):
        make_fingerprint([survey([[]], labels={0: 32})], ["MRI"], {1: "a"})
