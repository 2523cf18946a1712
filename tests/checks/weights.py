"""Files of weights, and networks that cannot be built."""

import io
import pickle

import pytest
import torch

from dam_components.networks import ConfidenceNet, DSResUNet, EnhancedUNet, LocalCalibrationNet, load_weights
from tests.checks.table import refused, taken

PLACE = "Weights and networks"


def network(**options):
    torch.manual_seed(0)
    return EnhancedUNet(**{"spatial_dims": 2, "channels": (4, 8), "strides": (2,), **options})


def saved(folder, change=None):
    state = network().state_dict()
    if change is not None:
        change(state)
    torch.save(state, folder / "model.pt")
    return folder / "model.pt"


@refused(PLACE, "a file that is not there", "no weights at")
def _(tmp_path):
    load_weights(network(), tmp_path / "model.pt")


@refused(PLACE, "a text under the name model.pt", "cannot be read as a state_dict")
def _(tmp_path):
    (tmp_path / "model.pt").write_text("no weights")
    load_weights(network(), tmp_path / "model.pt")


@refused(PLACE, "a file cut short", "cannot be read as a state_dict")
def _(tmp_path):
    file = saved(tmp_path)
    file.write_bytes(file.read_bytes()[:-1000])
    load_weights(network(), file)


@refused(PLACE, "one flipped bit in the weights", "cannot be read as a state_dict")
def _(tmp_path):
    file = saved(tmp_path)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    load_weights(network(), file)


class Runs:
    def __reduce__(self):
        return (print, ("executed",))


@refused(PLACE, "a file that would run code when it is loaded", "holds more than tensors and could run code")
def _(tmp_path):
    torch.save({"model": Runs()}, tmp_path / "model.pt")
    load_weights(network(), tmp_path / "model.pt")


@refused(PLACE, "a pickle of Python's", "cannot be read as a state_dict")
def _(tmp_path):
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"model": Runs()}))
    load_weights(network(), tmp_path / "model.pt")


@taken(PLACE, "the advice of PyTorch to load such files whatever they do", "is not repeated")
def _(tmp_path):
    torch.save({"model": Runs()}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="model.pt") as caught:
        load_weights(network(), tmp_path / "model.pt")
    assert "weights_only" not in str(caught.value)


@refused(PLACE, "a whole network in place of its weights", "cannot be read as a state_dict")
def _(tmp_path):
    torch.save(network(), tmp_path / "model.pt")
    load_weights(network(), tmp_path / "model.pt")


@refused(PLACE, "NaN in the weights", "holds NaN or infinity in")
def _(tmp_path):
    load_weights(network(), saved(tmp_path, lambda state: next(iter(state.values())).fill_(float("nan"))))


@refused(PLACE, "infinity in the weights", "holds NaN or infinity in")
def _(tmp_path):
    load_weights(network(), saved(tmp_path, lambda state: next(iter(state.values())).fill_(float("inf"))))


@refused(PLACE, "weights of another width", "holds weights of another architecture")
def _(tmp_path):
    load_weights(network(channels=(8, 16)), saved(tmp_path))


@refused(PLACE, "weights with a layer missing", "holds weights of another architecture")
def _(tmp_path):
    load_weights(network(), saved(tmp_path, lambda state: state.popitem()))


@refused(PLACE, "an empty state_dict", "holds weights of another architecture")
def _(tmp_path):
    torch.save({}, tmp_path / "model.pt")
    load_weights(network(), tmp_path / "model.pt")


@refused(PLACE, "a list of tensors", "cannot be read as a state_dict")
def _(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "model.pt")
    load_weights(network(), tmp_path / "model.pt")


@refused(PLACE, "an empty file", "cannot be read as a state_dict")
def _(tmp_path):
    (tmp_path / "model.pt").write_bytes(io.BytesIO().getvalue())
    load_weights(network(), tmp_path / "model.pt")


@refused(PLACE, "EnhancedUNet with spatial_dims=1", "spatial_dims must be 2 or 3, got 1")
def _(tmp_path):
    EnhancedUNet(spatial_dims=1, channels=(4, 8), strides=(2,))


@refused(PLACE, "DSResUNet with spatial_dims=4", "spatial_dims must be 2 or 3, got 4")
def _(tmp_path):
    DSResUNet(spatial_dims=4, channels=(4, 8), strides=(2,))


@refused(PLACE, "a stride with an axis too many", "a stride must be an int or hold 2 ints")
def _(tmp_path):
    network(strides=([2, 2, 1],))


@refused(PLACE, "strides that do not fit the channels", "strides must hold one entry fewer than channels")
def _(tmp_path):
    network(strides=(2, 2))


for kind in (EnhancedUNet, DSResUNet, ConfidenceNet, LocalCalibrationNet):
    for norm, batch in (("instance", 2), ("batch", 1)):

        @refused(PLACE, f"{kind.__name__}: {norm} norm, a batch of {batch}, one voxel left", "use a larger patch_size")
        def _(tmp_path, kind=kind, norm=norm, batch=batch):
            small(kind, norm)(torch.rand(batch, 3, 4, 4))


@taken(PLACE, "one voxel left, but batch norm and a batch of 2, or no norm, or no training", "is computed")
def _(tmp_path):
    for kind in (EnhancedUNet, ConfidenceNet):
        small(kind, "batch")(torch.rand(2, 3, 4, 4))
        small(kind, "batch").eval()(torch.rand(1, 3, 4, 4))
    small(EnhancedUNet, ("group", {"num_groups": 1}))(torch.rand(1, 3, 4, 4))


def small(kind, norm):
    """A network for three channels that takes steps of 4."""
    channels = (4, 8) if kind is LocalCalibrationNet else (4, 8, 8)
    return kind(spatial_dims=2, in_channels=3, channels=channels, strides=(2, 2), norm=norm).train()


@taken(PLACE, "spatial_dims=2 with the default strides", "built and run: EnhancedUNet, DSResUNet, ConfidenceNet")
def _(tmp_path):
    for kind, options in ((EnhancedUNet, {}), (DSResUNet, {}), (ConfidenceNet, {"in_channels": 3, "num_classes": 2})):
        net = kind(spatial_dims=2, **options).eval()
        image = torch.rand(1, options.get("in_channels", 1), 32, 32)
        assert net(image).shape[2:] == (32, 32)
