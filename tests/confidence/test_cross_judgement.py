"""The curves behind stored probabilities are fitted on other cases than those that they judge."""

import numpy as np
import torch

from dam_components.confidence.cross_judgement import CaseVoxels, rising_curve_of
from dam_components.confidence.doubt_scores import Segmentation, make_scores
from dam_components.metrics import fit_rising_curve, rising_curve


def voxels(part, power, seed):
    draw = np.random.default_rng(seed)
    says = draw.uniform(0.4, 1, 20_000)
    right = draw.uniform(size=says.size) < says**power
    return CaseVoxels(part, torch.zeros(1, 2), torch.zeros(1).long(), says, says**0.5, right)


def test_a_part_has_no_say_in_its_own_curve():
    cases = [voxels(0, 1, 0), voxels(1, 3, 1), voxels(1, 3, 2), voxels(2, 6, 3)]
    found = rising_curve_of(cases, without=0)
    np.testing.assert_array_equal(found, rising_curve_of([voxels(0, 9, 9), *cases[1:]], without=0))
    np.testing.assert_array_equal(found, rising_curve_of(cases[1:]))
    assert not np.array_equal(found, rising_curve_of(cases))
    of_softmax = rising_curve_of(cases, "softmax", without=0)
    others = cases[1:]
    wanted = fit_rising_curve(
        *(np.concatenate([getattr(case, name) for case in others]) for name in ("softmax", "right"))
    )
    np.testing.assert_array_equal(of_softmax, wanted)


def test_the_isotonic_score_is_the_curve_of_the_largest_probability():
    curve = rising_curve_of([voxels(0, 3, 0)], "softmax")
    case = Segmentation.of(torch.zeros(1, 1, 4, 4, 4), lambda image: torch.randn(1, 3, 4, 4, 4))
    score = make_scores(
        ["isotonic"], lambda p, x: p, rising=lambda says: torch.from_numpy(rising_curve(curve, says.numpy()))
    )["isotonic"]
    doubt = score(case).numpy()
    np.testing.assert_allclose(
        doubt, 1 - rising_curve(curve, case.probabilities.amax(1, keepdim=True).numpy()), atol=1e-6
    )
