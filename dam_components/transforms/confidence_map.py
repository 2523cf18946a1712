"""The confidence map as a transform: works behind any S, any inferer and any evaluator."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer, SimpleInferer, SliceInferer, SlidingWindowInferer, SlidingWindowInfererAdapt
from monai.transforms import MapTransform
from monai.utils import fall_back_tuple
from torch import nn

from dam_components.plain_tensor import plain
from dam_components.precision import choose_amp
from dam_components.probabilities import check_probabilities

__all__ = ["ConfidenceMapd"]


class ConfidenceMapd(MapTransform):
    """Adds M = sigmoid(D(P̂ ∪ X)), Eq. 12: how far each voxel of the segmentation can be trusted, 0 to 1.

    Run it after the softmax and before the inversion, and invert its output together with the prediction.

    Shapes: ``keys`` P̂ ``(C, ...)`` or batched ``(B, C, ...)``, and the image likewise, to ``(1, ...)`` or
    ``(B, 1, ...)`` under ``output_key``, with the image's metadata and history of transforms.

    Args:
        keys: the probabilities, one key.
        confidence_network: D, with its weights.
        image_key: X as S saw it.
        output_key: where M goes.
        inferer: how D runs; ``None`` runs it over the whole volume at once.
        device: where D runs; ``None``: where P̂ is.
        amp: D's convolutions in mixed precision, as S's are where S runs so; ``"auto"`` where it is fast.
        allow_missing_keys: pass data without probabilities on untouched.

    Raises:
        ValueError: if P̂ is no softmax's, P̂ and the image differ in their spatial shape, or D gives no finite map (NaN
            in its weights or in S's).

    Example:
        >>> from dam_components.networks import ConfidenceNet
        >>> D = ConfidenceNet(spatial_dims=2, in_channels=3, num_classes=2, channels=(4, 8), strides=(2,))
        >>> data = {"pred": torch.rand(2, 8, 8).softmax(0), "image": torch.rand(1, 8, 8)}
        >>> tuple(ConfidenceMapd("pred", D)(data)["confidence"].shape)
        (1, 8, 8)
    """

    def __init__(
        self,
        keys: Hashable,
        confidence_network: nn.Module,
        image_key: str = "image",
        output_key: str = "confidence",
        inferer: Inferer | None = None,
        device: str | torch.device | None = None,
        amp: bool | str = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name the probabilities, one key, got {list(self.keys)}")
        self.network = confidence_network
        self.image_key = image_key
        self.output_key = output_key
        self.inferer = SimpleInferer() if inferer is None else inferer
        self.device = device
        self.amp = amp

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[self.output_key] = self.confidence(result[key], result[self.image_key])
        return result

    @torch.no_grad()
    def confidence(self, probabilities: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """M of P̂ and X, both ``(C, ...)`` or both batched."""
        spatial_dims = max(p.ndim for p in self.network.parameters()) - 2  # of the convolutions' kernels
        single = probabilities.ndim == spatial_dims + 1
        p, x = plain(probabilities), plain(image)
        p, x = (t[None] if single else t for t in (p, x))
        if p.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"probabilities {tuple(probabilities.shape)} and image {tuple(image.shape)} differ in their spatial "
                "shape; run ConfidenceMapd before the inversion"
            )
        check_probabilities(p)
        p = p.to(torch.promote_types(p.dtype, torch.float32))  # D's own precision is amp's
        device = p.device if self.device is None else torch.device(self.device)
        network = self.network.to(device).eval()
        with torch.autocast(device.type, enabled=choose_amp(self.amp, device)):
            map_ = self.judge(p.to(device), x.to(p).to(device), network).float().sigmoid_()
        if not torch.isfinite(map_.sum()):
            raise ValueError("D's confidence map holds NaN: D's weights are damaged; train it or fetch them again")
        map_ = map_[0] if single else map_
        if isinstance(image, MetaTensor):
            # the image's history is what Invertd undoes
            map_ = MetaTensor(map_, meta=image.meta, applied_operations=image.applied_operations)
        return map_.to(probabilities.device)

    def judge(self, p: torch.Tensor, x: torch.Tensor, network: nn.Module) -> torch.Tensor:
        """D's logits by the inferer. Where it can tell the place of its windows, P̂ and X are joined window by window,
        which saves a copy of both."""
        located = telling_places(self.inferer, p.shape[2:])
        if located is None:
            return self.inferer(torch.cat([p, x], dim=1), network)

        def joined(window: torch.Tensor, places: Sequence[Sequence[slice]]) -> torch.Tensor:
            return network(torch.cat([window, torch.cat([x[tuple(place)] for place in places]).to(window)], dim=1))

        return located(p, joined)


def telling_places(inferer: Inferer, size: Sequence[int]) -> Inferer | None:
    """A copy of the inferer that also gives the network the place of each window; ``None`` of one that cannot.

    It can if it is a sliding window over all axes, or runs such a one as its ``inferer``. A volume smaller than a
    window is padded, which moves the places.
    """
    inner = getattr(inferer, "inferer", None)
    name: str
    value: Any
    if isinstance(inner, Inferer):
        located = telling_places(inner, size)
        name, value = "inferer", located
    else:
        if not isinstance(inferer, SlidingWindowInferer) or isinstance(
            inferer, (SliceInferer, SlidingWindowInfererAdapt)
        ):
            return None
        if inferer.with_coord or padded(inferer.roi_size, size):
            return None
        name, value = "with_coord", True
    if value is None:
        return None
    result = copy(inferer)
    setattr(result, name, value)
    return result


def padded(window: Sequence[int] | int, size: Sequence[int]) -> bool:
    """Whether a sliding window is larger than the volume along some axis."""
    return any(wanted > given for wanted, given in zip(fall_back_tuple(window, size), size, strict=True))
