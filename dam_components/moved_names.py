"""Old names: they work for one release, with a warning."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from monai.utils import deprecated_arg

__all__ = ["moved_names", "renamed_argument"]

renamed_argument = partial(deprecated_arg, since="0.2.0", removed="0.3.0", version_val="0.2.0")  # of a function of ours


def moved_names(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package from which names have moved.

    Args:
        package: its name.
        places: the module that each name is in now, or ``module:new_name``. It is imported when the name is first used.

    Example:
        >>> find = moved_names("dam_components.engines", {"BestSaver": "dam_components.handlers"})
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     find("BestSaver").__name__, str(caught[0].message)[:66]
        ('BestSaver', 'dam_components.engines.BestSaver is dam_components.handlers.BestSa')
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, new_name = places[name].partition(":")
        new_name = new_name or name
        warnings.warn(
            f"{package}.{name} is {module}.{new_name} from 0.2.0 on; the old name goes in 0.3.0",
            DeprecationWarning,
            stacklevel=3,
        )
        return getattr(importlib.import_module(module), new_name)

    return find
