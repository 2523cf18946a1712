"""Reading a network's weights from a file, with errors that say what to do."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from dam_components.errors import first_line
from dam_components.networks.identity import identify, identity_in, is_parallel, parameters_digest

__all__ = ["MadeFor", "file_digests", "load_weights", "read_weights"]

MadeFor = nn.Module | str | Path | Sequence[str | Path]
WRAPPED = ("model", "state_dict")  # names under which other programs keep a state_dict
PREFIX = "module."  # of a state_dict of DistributedDataParallel

logger = logging.getLogger(__name__)


def load_weights(
    network: nn.Module,
    path: str | Path,
    label_names: Mapping[Any, str] | None = None,
    made_for: MadeFor | None = None,
    other_S: bool = False,
) -> nn.Module:
    """Loads weights into the network that they belong to, and returns it.

    The file holds a ``state_dict``, or one under ``model`` or ``state_dict``; a prefix ``module.`` is taken away. What
    the savers of this package write also says who the network is: class and options, the classes' names, and for D the
    S that it was trained for. All of it must agree. A file that does not say it is taken with a warning if its shapes
    fit.

    Args:
        network: S or D.
        path: the file.
        label_names: name of each class that is expected, by its index; ``None``: any.
        made_for: S, or its file or files, behind which D is to stand; ``None``: any.
        other_S: take a D that was trained for another S.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: in one line, if the file is no ``state_dict``, or one of another network, of other
            classes or of a D of another S.
    """
    state = read_weights(path)
    identity = identity_in(state)
    if identity is None:
        logger.warning("%s does not say which network it is of; its shapes decide whether it fits", path)
    else:
        _check_network(path, identity, identify(network))
        _check_labels(path, identity, label_names)
        _check_made_for(path, identity, None if other_S else made_for)
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    shapes = {name: tensor.shape for name, tensor in state.items()}
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            here, there = (tuple(found[name]) if name in found else "missing" for found in (expected, shapes))
            raise ValueError(
                f"{path} holds weights of another architecture: {name} is {there} in the file and {here} in "
                f"{type(network).__name__}; use the configuration that the file was trained with"
            )
    network.load_state_dict(state)
    return network


def check_sums(path: str | Path) -> None:
    """Compares the checksums in a file of PyTorch's, which PyTorch itself does not.

    Raises:
        ValueError: a part is damaged.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            if (broken := parts.testzip()) is not None:
                raise ValueError(f"the checksum of {broken} is wrong")


def read_weights(path: str | Path) -> OrderedDict[str, torch.Tensor]:
    """The ``state_dict`` in a file; :func:`~dam_components.networks.identity.identity_in` says whose it is.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: in one line, if it holds no ``state_dict``.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights at {path}; train first, or name another file")
    try:
        check_sums(path)
        saved = torch.load(path, map_location="cpu", weights_only=True)
        for name in WRAPPED:
            saved = saved[name] if isinstance(saved.get(name), Mapping) else saved
        if bad := [name for name, value in saved.items() if not isinstance(value, torch.Tensor)]:
            raise ValueError(f"{bad[0]} is no tensor")
        damaged = [name for name, value in saved.items() if not torch.isfinite(value).all()]
    except Exception as error:  # a broken file fails in as many ways as it can be broken
        reason = first_line(error)
        if isinstance(error, pickle.UnpicklingError):  # PyTorch advises to load it whatever it does
            reason = "it is damaged, or holds more than tensors and could run code"
        raise ValueError(f"{path} cannot be read as a state_dict ({reason}); fetch it again") from None
    if damaged:
        raise ValueError(f"{path} holds NaN or infinity in {damaged[0]}; train again, or fetch it again")
    state = OrderedDict(saved)
    if hasattr(saved, "_metadata"):
        state._metadata = saved._metadata  # type: ignore[attr-defined]
    if all(name.startswith(PREFIX) for name in state):
        consume_prefix_in_state_dict_if_present(state, PREFIX)
    return state


def file_digests(made_for: MadeFor) -> list[str]:
    """:func:`~dam_components.networks.identity.parameters_digest` of a network, or of the weights in each of its files.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_weights`.
    """
    if isinstance(made_for, nn.Module):
        network: Any = made_for.module if is_parallel(made_for) else made_for
        return [parameters_digest(network.state_dict())]
    files = [made_for] if isinstance(made_for, (str, Path)) else made_for
    return [parameters_digest(read_weights(file)) for file in files]


def _check_network(path: str | Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    remedy = "use the configuration that the file was trained with"
    if there["class"] != here["class"]:
        raise ValueError(
            f"{path} holds weights of another architecture: of {there['class']}, and the configuration builds "
            f"{here['class']}; {remedy}"
        )
    if there["structure"] == here["structure"]:
        return
    names = [name for name in there["options"] if name in here["options"]]
    differ = [name for name in names if there["options"][name] != here["options"][name]]
    if differ or not (there["keeps_options"] and here["keeps_options"]):
        file, configuration = (
            ", ".join(f"{name}={one['options'][name]}" for name in differ) or "other layers" for one in (there, here)
        )
        raise ValueError(
            f"{path} holds weights of another architecture: of {there['class']} with {file}, and the configuration "
            f"builds it with {configuration}; {remedy}"
        )


def _check_labels(path: str | Path, identity: Mapping[str, Any], label_names: Mapping[Any, str] | None) -> None:
    there = identity.get("label_names")
    if there is None or label_names is None:
        return
    here = {str(index): name for index, name in label_names.items()}
    if here != there:
        raise ValueError(
            f"{path} was trained for the classes {_listed(there)}, and the configuration has {_listed(here)}; use "
            "the label_names that the file was trained with, or weights for these classes"
        )


def _check_made_for(path: str | Path, identity: Mapping[str, Any], made_for: MadeFor | None) -> None:
    there = identity.get("made_for")
    if there is None or made_for is None:
        return
    here = file_digests(made_for)
    if sorted(here) != sorted(there):
        name = type(made_for).__name__ if isinstance(made_for, nn.Module) else made_for
        raise ValueError(
            f"{path} was trained to judge the S of weights {', '.join(there)}, and {name} holds {', '.join(here)}; "
            "name the D of this S with --confidence_weights, train one, or take this one on purpose with --other_S True"
        )


def _listed(label_names: Mapping[str, str]) -> str:
    return ", ".join(f"{index} {name}" for index, name in sorted(label_names.items(), key=lambda item: int(item[0])))
