"""Of a structure that is one piece, keep one piece."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from dam_components.metrics import largest_piece
from dam_components.predicted_class import predict_class

__all__ = ["LargestComponentd", "keep_largest_component"]


def keep_largest_component(probabilities: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    """Takes from each of the classes what argmax P̂ predicts outside its largest connected component.

    There, the class's probability goes to the background; then argmax, expected volumes and predicted Dice all agree
    that it is background, and P̂ still sums to 1. Voxels that touch at a corner are connected. MONAI's
    ``KeepLargestConnectedComponent`` works on labels, and so would leave P̂ and all that is read from it behind.

    Args:
        probabilities: P̂, ``(C, ...)``; it is not changed.
        classes: which, of 1..C-1.

    Raises:
        ValueError: on a class that is not one of 1..C-1.

    Example:
        >>> p = torch.tensor([[0.1, 0.2, 0.9, 0.3]])  # two voxels, a gap, one voxel
        >>> keep_largest_component(torch.cat([1 - p, p])[:, None], [1])[1]
        tensor([[0.1000, 0.2000, 0.9000, 0.3000]])
        >>> keep_largest_component(torch.cat([p, 1 - p])[:, None], [1])[1]
        tensor([[0.9000, 0.8000, 0.1000, 0.0000]])
    """
    wrong = [index for index in classes if not 1 <= index < len(probabilities)]
    if wrong:
        raise ValueError(
            f"the classes of which to keep the largest component must lie in 1..{len(probabilities) - 1}, got {wrong}"
        )
    predicted = predict_class(probabilities[None])[0, 0].cpu().numpy()
    result = probabilities.clone()
    for index in classes:
        mask = predicted == index
        stray = torch.from_numpy(mask & ~largest_piece(mask)).to(result.device)
        if not stray.any():
            continue
        result[0] = torch.where(stray, result[0] + result[index], result[0])
        result[index] = torch.where(stray, torch.zeros_like(result[index]), result[index])
    return result


class LargestComponentd(MapTransform):
    """:func:`keep_largest_component` on probabilities in a data dictionary.

    Run it on P̂ in the image's own space, after ``Invertd`` and before anything reads P̂. The confidence map stays what D
    says of S's own output, also where a stray piece was taken away.

    Args:
        keys: the probabilities, ``(C, ...)``.
        classes: of which to keep the largest component; none leaves P̂ as it is.
        allow_missing_keys: pass data without probabilities on untouched.

    Example:
        >>> p = torch.tensor([[0.9, 0.8, 0.1, 0.7]])
        >>> LargestComponentd("pred", [1])({"pred": torch.stack([1 - p, p])})["pred"].argmax(0)
        tensor([[1, 1, 0, 0]])
    """

    def __init__(self, keys: KeysCollection, classes: Sequence[int], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.classes = tuple(classes)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = keep_largest_component(result[key], self.classes)
        return result
