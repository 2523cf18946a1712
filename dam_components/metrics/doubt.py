r"""Doubt scores of a softmax: how much each voxel of a segmentation should be feared to be wrong, 0 to 1.

They are the rivals of :math:`1 - M`. All take the whole volume, ``(B, C, ...)``, to one value a voxel, ``(B, 1, ...)``.
"""

from __future__ import annotations

import math

import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

from dam_components.predicted_class import predict_class


def predicted_class_doubt(probabilities: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
    r"""Probability that another class than the predicted one is true, :math:`\sum_{c \neq k} \hat P_c`.

    The other classes are summed, which keeps the digits that :math:`1 - \hat P_k` loses where it is near 0. The call
    may be another network's: the mean softmax of an ensemble doubts what S predicted, for instance.

    Args:
        probabilities: ``(B, C, ...)``.
        predicted: index of the class that S predicts, ``(B, 1, ...)``, int64.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> predicted_class_doubt(torch.tensor([[[0.7], [0.2], [0.1]]]), torch.tensor([[[1]]]))
        tensor([[[0.8000]]])
    """
    expected = (probabilities.shape[0], 1, *probabilities.shape[2:])
    if tuple(predicted.shape) != expected:
        raise ValueError(f"predicted must have shape {expected}, got {tuple(predicted.shape)}.")
    return probabilities.scatter(1, predicted, 0).sum(1, keepdim=True).clamp(0, 1)


def softmax_doubt(probabilities: torch.Tensor) -> torch.Tensor:
    r"""One minus the largest probability, :math:`1 - \max_c \hat P_c` (Hendrycks and Gimpel 2017).

    Example:
        >>> softmax_doubt(torch.tensor([[[0.75], [0.25]]]))
        tensor([[[0.2500]]])
    """
    return predicted_class_doubt(probabilities, predict_class(probabilities))


def entropy_doubt(probabilities: torch.Tensor) -> torch.Tensor:
    r"""Entropy over its largest value, :math:`-\sum_c \hat P_c \log \hat P_c / \log C`; not a probability.

    Example:
        >>> entropy_doubt(torch.tensor([[[0.5, 1.0], [0.5, 0.0]]]))
        tensor([[[1., 0.]]])
    """
    entropy = torch.special.entr(probabilities).sum(1, keepdim=True)
    return (entropy / math.log(probabilities.shape[1])).clamp(0, 1)


def temperature_doubt(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    r"""One minus the largest probability of :math:`softmax(z / T)`. With T = 1 it is :func:`softmax_doubt`.

    Example:
        >>> temperature_doubt(torch.tensor([[[2.0 * math.log(3)], [0.0]]]), temperature=2.0)
        tensor([[[0.2500]]])
    """
    return softmax_doubt((logits / temperature).softmax(1))


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor, low: float = 0.05, high: float = 20.0) -> float:
    r"""The temperature T of least negative log-likelihood of the labels under :math:`softmax(z / T)` (Guo et al. 2017).

    The likelihood is concave in 1 / T, so a search over log T in bounds finds it. Without an error there is
    no optimum above 0, and T is near ``low``; labels at odds with the logits give ``high``.

    Args:
        logits: voxels of cases that S was not trained on, ``(N, C)``.
        labels: their classes, ``(N,)``, int64.
        low: least temperature.
        high: largest temperature.

    Raises:
        ValueError: shapes do not fit, or there is no voxel.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 1])  # right in 3 of 4: softmax(z / T) should say 0.75, z / T = log 3
        >>> round(fit_temperature(torch.tensor([[2.0 * math.log(3), 0.0]] * 4), labels), 3)
        2.0
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(
            f"logits must be (N, C) and labels (N,), N at least 1, got {tuple(logits.shape)} and {tuple(labels.shape)}."
        )
    scores = logits.detach().float()

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(scores / math.exp(log_temperature), labels))

    bounds = (math.log(low), math.log(high))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    # the bounded search never tries the bounds themselves
    return math.exp(min((best.x, *bounds), key=loss))
