import pytest
import torch

from dam_components.confidence.doubt_scores import SCORES, make_scores
from tests.confidence.fixed_network import setup_case


def score(name, case, **options):
    confidence = options.pop("confidence", lambda probabilities, image: torch.ones_like(image))
    return make_scores([name], confidence, **options)[name](case)


def test_segmentation_holds_what_s_said():
    _, case = setup_case()
    assert case.predicted.flatten().tolist() == [1, 0, 1, 0]
    assert torch.allclose(case.probabilities[:, 1:], case.image.sigmoid())


def test_d_is_one_minus_confidence_of_probabilities_and_image():
    _, case = setup_case()
    doubt = score("D", case, confidence=lambda p, x: p[:, 1:] * (x > 0))
    assert torch.allclose(doubt, 1 - case.image.sigmoid() * (case.image > 0))


def test_softmax_and_temperature_by_hand():
    _, case = setup_case()
    assert torch.allclose(score("softmax", case), (-case.image.abs()).sigmoid())
    assert torch.allclose(score("temperature", case, temperature=2.0), (-case.image.abs() / 2).sigmoid())


def test_entropy_is_one_where_s_knows_nothing():
    _, case = setup_case()
    assert score("entropy", case).flatten()[3] == 1


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="scores must be of D, softmax, .*, got 'magic'"):
        make_scores(["D", "magic"], lambda p, x: p)
    with pytest.raises(ValueError, match="untrained needs a D that has learnt nothing"):
        make_scores(["untrained"], lambda p, x: p)
    with pytest.raises(ValueError, match="isotonic needs a rising curve"):
        make_scores(["isotonic"], lambda p, x: p)


def test_every_score_is_doubt_of_each_voxel():
    _, case = setup_case(image=torch.randn(1, 1, 8, 8))
    judges = (lambda p, x: p[:, :1]), (lambda p, x: p[:, 1:])
    scores = make_scores([*SCORES], judges[0], 1.5, judges[1], rising=torch.sqrt)
    assert [*scores] == [*SCORES]
    for doubt in (each(case) for each in scores.values()):
        assert doubt.shape == (1, 1, 8, 8)
        assert 0 <= doubt.min() <= doubt.max() <= 1
    for name, judge in zip(("D", "untrained"), judges, strict=True):
        assert torch.equal(scores[name](case), 1 - judge(case.probabilities, case.image))
