"""Sigmoids and classes that overlap are refused in the same words wherever they could enter."""

import json

import numpy as np
import pytest
import torch

from dam_components.confidence.bundle_prediction import _read
from dam_components.data.stored_probabilities import _check_values
from dam_components.losses import ConfidenceLoss, DifficultyAwareHybridLoss, HybridLoss
from dam_components.networks import ConfidenceNet, LocalCalibrationNet
from dam_components.planning.stored_dataset import _check_exclusive
from dam_components.probabilities import NO_OVERLAP, check_one_hot, check_probabilities
from dam_components.transforms import ConfidenceMapd

SIGMOIDS = torch.full((1, 3, 4, 4), 0.7)
LABELS = torch.ones(1, 3, 4, 4)
D = {"spatial_dims": 2, "in_channels": 2, "num_classes": 1, "channels": (4, 8), "strides": (2,)}


def bundle_with_sigmoid(tmp_path):
    entries = dict.fromkeys(("network_def", "inferer"), {}) | {"preprocessing": {"sigmoid": True}}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.json").write_text(json.dumps(entries))
    return _read(tmp_path)


def confidence_map(values):
    network = ConfidenceNet(2, in_channels=4, num_classes=3, channels=(4, 8), strides=(2,))
    return ConfidenceMapd("pred", network)({"pred": values, "image": torch.rand(1, 4, 4)})


PLACES = {
    "ConfidenceNet": lambda _: ConfidenceNet(**D),
    "LocalCalibrationNet": lambda _: LocalCalibrationNet(**{**D, "strides": (2, 2)}),
    "ConfidenceMapd": lambda _: confidence_map(SIGMOIDS[0]),
    "HybridLoss, one channel": lambda _: HybridLoss()(SIGMOIDS[:, :1], torch.zeros(1, 1, 4, 4)),
    "HybridLoss, labels of many channels": lambda _: HybridLoss()(SIGMOIDS, LABELS),
    "HybridLoss, labels that overlap": lambda _: HybridLoss(to_onehot_y=False)(SIGMOIDS, LABELS),
    "DifficultyAwareHybridLoss": lambda _: DifficultyAwareHybridLoss(num_classes=3)(SIGMOIDS, LABELS),
    "HybridLoss, probabilities": lambda _: HybridLoss(softmax=False)(SIGMOIDS, LABELS[:, :1]),
    "ConfidenceLoss, P̂": lambda _: ConfidenceLoss()(SIGMOIDS[:, :1], SIGMOIDS, LABELS[:, :1]),
    "one-hot labels": lambda _: check_one_hot(LABELS),
    "P̂": lambda _: check_probabilities(SIGMOIDS),
    "P̂ of one channel": lambda _: check_probabilities(SIGMOIDS[:, :1]),
    "stored probabilities": lambda _: _check_values("case.npz", np.full((3, 4, 4), 0.7, np.float32), 0.01),
    "regions of nnU-Net": lambda _: _check_exclusive({"background": 0, "whole": [1, 2]}),
    "another bundle": bundle_with_sigmoid,
}


@pytest.mark.parametrize("place", PLACES)
def test_the_words_are_the_same(place, tmp_path):
    with pytest.raises(ValueError, match="exclude each other") as caught:
        PLACES[place](tmp_path)
    assert NO_OVERLAP in str(caught.value)
