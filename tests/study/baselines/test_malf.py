"""Atlases are chosen, registered and fused."""

import logging

import numpy as np
import pytest
import torch

from dam_study.baselines import Atlases, MultiAtlasFusion, Registration

FAST = Registration("none", "correlation", levels=(1,), iterations=30)
SHIFTS = [(2, 0, 0), (0, -2, 0), (1, 1, 1)]


@pytest.fixture(scope="module")
def cases(ball_case):
    return [ball_case(shift, str(k), seed=k + 1) for k, shift in enumerate(SHIFTS)]


def build(cases, **options):
    return MultiAtlasFusion(cases, dict, (1.0, 1.0, 1.0), 2, **{"registration": FAST, **options})


def test_an_image_gets_its_label_from_shifted_atlases(cases, ball_case):
    target = ball_case()
    shares = build(cases)(torch.from_numpy(target["image"])[None])
    assert shares.shape == (1, 2, 16, 14, 12)
    found, truth = shares[0].argmax(0).numpy() == 1, target["label"][0] == 1
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9


def test_the_most_similar_are_taken(cases, texture):
    strange = {"image": texture(5)[None], "label": np.zeros((1, 24, 20, 16), np.uint8), "case": "strange"}
    atlases = Atlases([strange, *cases], dict, (1.0, 1.0, 1.0), 2)
    assert atlases.most_similar(cases[0]["image"])[0] == 1
    assert 0 not in atlases.most_similar(cases[2]["image"])
    assert len(atlases.most_similar(cases[0]["image"])) == 2
    for count in (None, 9):
        assert Atlases(cases, dict, (1, 1, 1), count).most_similar(cases[0]["image"]) == [0, 1, 2]


def test_options_reach_the_votes(cases, ball_case):
    image = torch.from_numpy(ball_case()["image"])[None]
    base = build(cases, registration=Registration("none", "correlation", levels=(1,), iterations=1))(image)
    quick = {"registration": Registration("none", "correlation", levels=(1,), iterations=1)}
    weighted = build(cases, fusion="weighted", **quick)(image)
    for options in ({"atlases": 1}, {"fusion": "weighted"}, {"fusion": "staple"}):
        assert not torch.equal(build(cases, **quick, **options)(image), base)
    for options in ({"radius": 0}, {"power": 1.0}):
        assert not torch.equal(build(cases, fusion="weighted", **quick, **options)(image), weighted)
    assert not torch.equal(build(cases)(image), base)  # the registration


def test_an_atlas_that_cannot_be_registered_is_left_out(cases, caplog):
    class Fails:
        calls = 0

        def __call__(self, fixed, moving, spacing):
            Fails.calls += 1
            if Fails.calls in (1, 4, 5, 6):
                raise RuntimeError("ITK\nno overlap")
            return lambda volume, nearest=False: volume

    atlases = Atlases(cases, dict, (1.0, 1.0, 1.0))
    with caplog.at_level(logging.WARNING):
        assert len(list(atlases.onto(cases[0]["image"], Fails()))) == 2
    assert "atlas 0 is left out: no overlap" in caplog.text
    with pytest.raises(ValueError, match="no atlas could be registered"):
        list(atlases.onto(cases[0]["image"], Fails()))


def test_errors(cases):
    with pytest.raises(ValueError, match="fusion must be one of majority, weighted, staple, got 'best'"):
        build(cases, fusion="best")
    with pytest.raises(ValueError, match="atlases must be at least 1, or None for all, got 0"):
        build(cases, atlases=0)
    with pytest.raises(ValueError, match="at least one atlas, got none"):
        build([])
