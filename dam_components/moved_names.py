"""Old names: they work for one release, with a warning."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

__all__ = ["moved_names", "renamed_argument"]


def renamed_argument(old: str, new: str) -> Callable[[Callable], Callable]:
    """A decorator: the function takes an argument under its old name too, by keyword, with a warning.

    As ``monai.utils.deprecated_arg``; without MONAI, whose import takes longer than that of all losses.

    Raises:
        TypeError: when the function is called with both names.

    Example:
        >>> @renamed_argument("floor", "lowest")
        ... def clip(x, lowest=0):
        ...     return max(x, lowest)
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     clip(-3, floor=-1), str(caught[0].message)
        (-1, 'argument floor is called lowest from 0.2.0 on; the old name goes in 0.3.0')
    """

    def decorate(function: Callable) -> Callable:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if old in kwargs:
                if new in kwargs:
                    raise TypeError(f"{new} is given twice: {old} is its old name")
                message = f"argument {old} is called {new} from 0.2.0 on; the old name goes in 0.3.0"
                warnings.warn(message, FutureWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return run

    return decorate


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
