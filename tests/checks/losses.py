"""What the losses and the confidence map are given."""

import torch

from dam_components.losses import ConfidenceLoss, DifficultyAwareHybridLoss, HybridLoss
from dam_components.networks import ConfidenceNet
from dam_components.transforms import ConfidenceMapd
from tests.checks.table import refused, taken

PLACE = "Losses and the confidence map"
CLASSES = torch.tensor([0, 1, 2, 1]).view(1, 1, 2, 2)
ONE_HOT = torch.nn.functional.one_hot(CLASSES[:, 0], 3).movedim(-1, 1)
LOGITS = torch.linspace(-3, 3, 12).view(1, 3, 2, 2)
SOFTMAX = LOGITS.softmax(1)
WORDS = "P̂ must lie in 0..1 and sum to 1 over the classes"


def one_hot_loss(target, loss=HybridLoss):
    options = {"num_classes": 3} if loss is DifficultyAwareHybridLoss else {}
    return loss(to_onehot_y=False, **options)(LOGITS, target)


def overlapping():
    target = ONE_HOT.clone()
    target[:, 0, 0, 1] = 1  # a voxel of class 1 that is background too
    return target


@refused(PLACE, "one-hot labels that overlap (BraTS's whole tumour and tumour core), HybridLoss", "2 or more classes")
def _(tmp_path):
    one_hot_loss(overlapping())


@refused(PLACE, "one-hot labels that overlap, DifficultyAwareHybridLoss", "2 or more classes")
def _(tmp_path):
    one_hot_loss(overlapping(), DifficultyAwareHybridLoss)


@refused(PLACE, "one-hot labels without a background channel", "voxels have no class")
def _(tmp_path):
    target = ONE_HOT.clone()
    target[:, :, 0, 0] = 0
    one_hot_loss(target)


@refused(PLACE, "soft labels", "soft labels have no place")
def _(tmp_path):
    one_hot_loss(SOFTMAX)


@taken(PLACE, "one-hot labels of bool", "the loss of the same labels as numbers")
def _(tmp_path):
    assert one_hot_loss(ONE_HOT.bool()) == HybridLoss()(LOGITS, CLASSES)


@taken(PLACE, "class indices as floating point", "the loss of the same labels as integers")
def _(tmp_path):
    assert HybridLoss()(LOGITS, CLASSES.double()) == HybridLoss()(LOGITS, CLASSES)


@refused(PLACE, "class indices that were interpolated (0.5)", "labels must be whole numbers, got 0.5")
def _(tmp_path):
    HybridLoss()(LOGITS, CLASSES * 0.5)


@refused(PLACE, "class indices with NaN", "labels must be whole numbers, got nan")
def _(tmp_path):
    HybridLoss()(LOGITS, CLASSES * float("nan"))


@refused(PLACE, "a class index that the network does not have", "labels must lie in 0..2")
def _(tmp_path):
    HybridLoss()(LOGITS, CLASSES + 1)


@refused(PLACE, "a negative class index", "labels must lie in 0..2")
def _(tmp_path):
    HybridLoss()(LOGITS, CLASSES - 1)


@refused(PLACE, "class indices where one-hot is asked for", "target must have shape (1, 3, 2, 2)")
def _(tmp_path):
    one_hot_loss(CLASSES)


@refused(PLACE, "one-hot where class indices are asked for", "target must have shape (1, 1, 2, 2)")
def _(tmp_path):
    HybridLoss()(LOGITS, ONE_HOT)


@refused(PLACE, "logits where probabilities are asked for (softmax=False), HybridLoss", WORDS)
def _(tmp_path):
    HybridLoss(softmax=False)(LOGITS, CLASSES)


@refused(PLACE, "sigmoids where probabilities are asked for, DifficultyAwareHybridLoss", WORDS)
def _(tmp_path):
    DifficultyAwareHybridLoss(3, softmax=False)(LOGITS.sigmoid(), CLASSES)


@refused(PLACE, "logits as P̂ in ConfidenceLoss", WORDS)
def _(tmp_path):
    ConfidenceLoss()(LOGITS[:, :1], LOGITS, CLASSES)


@refused(PLACE, "sigmoids as P̂ in ConfidenceLoss", WORDS)
def _(tmp_path):
    ConfidenceLoss()(LOGITS[:, :1], LOGITS.sigmoid(), CLASSES)


@refused(PLACE, "P̂ with NaN in ConfidenceLoss (damaged weights of S)", "P̂ holds NaN")
def _(tmp_path):
    ConfidenceLoss()(LOGITS[:, :1], SOFTMAX * float("nan"), CLASSES)


@refused(PLACE, "interpolated labels in ConfidenceLoss", "labels must be whole numbers")
def _(tmp_path):
    ConfidenceLoss()(LOGITS[:, :1], SOFTMAX, CLASSES * 0.5)


def confidence_map(probabilities, damage=False):
    torch.manual_seed(0)
    D = ConfidenceNet(spatial_dims=2, in_channels=4, num_classes=3, channels=(4, 8), strides=(2,))
    if damage:
        next(D.parameters()).data.fill_(float("nan"))
    return ConfidenceMapd("pred", D).confidence(probabilities, torch.zeros(1, 1, *probabilities.shape[2:]))


VALUES = torch.linspace(-3, 3, 192).view(1, 3, 8, 8)


@refused(PLACE, "logits as P̂ in ConfidenceMapd", WORDS)
def _(tmp_path):
    confidence_map(VALUES)


@refused(PLACE, "sigmoids as P̂ in ConfidenceMapd", WORDS)
def _(tmp_path):
    confidence_map(VALUES.sigmoid())


@refused(PLACE, "a second softmax's input: class indices as P̂", WORDS)
def _(tmp_path):
    confidence_map(VALUES.argmax(1, keepdim=True).expand(1, 3, 8, 8).float())


@taken(PLACE, "P̂ in half precision", "taken: sums to 0.01 are rounding")
def _(tmp_path):
    assert confidence_map(VALUES.softmax(1).half()).shape == (1, 1, 8, 8)


@refused(PLACE, "NaN in D's weights", "D's weights are damaged")
def _(tmp_path):
    confidence_map(VALUES.softmax(1), damage=True)
