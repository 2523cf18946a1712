"""Reading a network's weights from a file, with errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

__all__ = ["load_weights"]


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Loads a raw ``state_dict`` into the network and returns it.

    Args:
        network: S or D.
        path: the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: in one line, if the file is no ``state_dict`` or one of another architecture.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights at {path}; train first, or name another file")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        state = {name: tensor.shape for name, tensor in saved.items()}
    except Exception as error:  # a broken file fails in as many ways as it can be broken
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} cannot be read as a state_dict ({reason}); fetch it again") from None
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    for name in sorted(expected.keys() | state.keys()):
        if expected.get(name) != state.get(name):
            here, there = (tuple(shapes[name]) if name in shapes else "missing" for shapes in (expected, state))
            raise ValueError(
                f"{path} holds weights of another architecture: {name} is {there} in the file and {here} in "
                f"{type(network).__name__}; use the configuration that the file was trained with"
            )
    network.load_state_dict(saved)
    return network
