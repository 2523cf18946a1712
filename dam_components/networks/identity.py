"""Who a network is, kept in its ``state_dict`` where every other reader of the file leaves it alone."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import nn

__all__ = ["identify", "identity_in", "keep_options", "parameters_digest", "put_identity"]

KEY = "dam_components"
Network = TypeVar("Network", bound=type[nn.Module])


def keep_options(cls: Network) -> Network:
    """Class decorator: each network keeps the arguments that it was built with, as plain values, in ``built_with``.

    Example:
        >>> @keep_options
        ... class Scale(nn.Module):
        ...     def __init__(self, by=2.0, axes=(0, 1)):
        ...         super().__init__()
        >>> Scale(3.0).built_with
        {'by': 3.0, 'axes': [0, 1]}
    """
    build = cls.__init__
    signature = inspect.signature(build)

    @functools.wraps(build)
    def __init__(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if type(self) is cls:  # a subclass has options of its own
            given = signature.bind(self, *args, **kwargs)
            given.apply_defaults()
            self.built_with = plain(dict([*given.arguments.items()][1:]))

    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls


def identify(
    network: nn.Module, label_names: Mapping[Any, str] | None = None, made_for: Sequence[str] | None = None
) -> dict[str, Any]:
    """What shapes cannot show of a network: ``class``, ``options``, ``structure``, ``label_names``, ``made_for``.

    The options are the arguments of a network of :func:`keep_options`; of any other, its plain attributes. The
    structure is a digest of what the network prints, which has every layer's settings, and of its plain attributes.

    Args:
        network: S or D.
        label_names: name of each class by its index, background left out.
        made_for: of D: :func:`parameters_digest` of the S, or of each of several averaged S, that it was trained for.

    Example:
        >>> known = identify(nn.Conv2d(1, 2, 1), {1: "organ"})
        >>> known["class"], known["options"]["kernel_size"], known["label_names"], known["made_for"]
        ('Conv2d', [1, 1], {'1': 'organ'}, None)
    """
    network = getattr(network, "module", network) if is_parallel(network) else network
    attributes = plain(
        {name: value for name, value in sorted(vars(network).items()) if is_plain_attribute(name, value)}
    )
    printed = re.sub("0x[0-9a-f]+", "", str(network))  # the address of a function differs from run to run
    return {
        "class": type(network).__name__,
        "options": getattr(network, "built_with", attributes),
        "keeps_options": hasattr(network, "built_with"),
        "structure": hashlib.sha256((printed + json.dumps(attributes)).encode()).hexdigest()[:16],
        "label_names": None if label_names is None else {str(index): name for index, name in label_names.items()},
        "made_for": None if made_for is None else [*made_for],
    }


def parameters_digest(state: Mapping[str, torch.Tensor]) -> str:
    """A short name for the values of a ``state_dict``, whatever file they lie in: 16 digits of SHA-256.

    Example:
        >>> parameters_digest({"weight": torch.ones(2)}) == parameters_digest({"weight": torch.zeros(2)})
        False
    """
    found = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]


def put_identity(state: Any, identity: Mapping[str, Any]) -> None:
    """Puts an identity into what ``network.state_dict()`` has given.

    PyTorch keeps the version of each module beside the tensors, in an attribute that is saved and read along with them,
    ``weights_only`` too. An entry there is no key of the ``state_dict``: strict loading, MONAI's exports and MONAI
    Label see the tensors alone.
    """
    state._metadata[KEY] = dict(identity)


def identity_in(state: Any) -> dict[str, Any] | None:
    """The identity in a ``state_dict`` that was read from a file; ``None`` where there is none."""
    identity = getattr(state, "_metadata", {}).get(KEY)
    return dict(identity) if isinstance(identity, Mapping) else None


def plain(value: Any) -> Any:
    """The value as JSON has it: tuples as lists, keys as text, what is not plain as its text."""
    return json.loads(json.dumps(value, default=str))


def is_parallel(network: nn.Module) -> bool:
    """Whether the network is a wrapper for several processes or GPUs, whose ``module`` is the network itself."""
    return isinstance(network, (nn.parallel.DistributedDataParallel, nn.DataParallel))


def is_plain_attribute(name: str, value: Any) -> bool:
    """Whether a module's attribute is a setting: a number, a text, or a list of such."""
    if name.startswith("_") or name in ("training", "built_with"):
        return False
    if isinstance(value, (list, tuple)):
        return all(is_plain_attribute("item", each) for each in value)
    return value is None or isinstance(value, (bool, int, float, str))
