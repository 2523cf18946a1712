"""A batch of one case, without a second copy of what is large in it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from monai.data import list_data_collate

from dam_components.plain_tensor import plain

__all__ = ["collate_one_case"]


def collate_one_case(key: Hashable) -> Callable[[Sequence[dict]], Any]:
    """A ``collate_fn`` for batches of one item. The tensor under ``key`` is not copied; the rest is MONAI's.

    Args:
        key: of a tensor ``(C, ...)``, which becomes ``(1, C, ...)``.

    Example:
        >>> import torch
        >>> large = torch.zeros(2, 3)
        >>> batch = collate_one_case("large")([{"large": large, "image": torch.ones(1, 3)}])
        >>> tuple(batch["image"].shape), batch["large"].data_ptr() == large.data_ptr()
        ((1, 1, 3), True)
    """

    def collate(items: Sequence[dict]) -> Any:
        if len(items) != 1:
            raise ValueError(f"collate_one_case takes batches of one case, got {len(items)}; set batch_size to 1")
        (item,) = items
        batch = list_data_collate([{name: value for name, value in item.items() if name != key}])
        return {**batch, key: plain(item[key])[None]}

    return collate
