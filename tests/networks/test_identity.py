"""What does not belong together is refused in one line that names both; whatever belongs together is loaded."""

import inspect
import itertools
import logging
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from monai.networks.nets import SegResNet, UNet
from torch import nn

from dam_components.networks import (
    ConfidenceNet,
    DSResUNet,
    EnhancedUNet,
    LocalCalibrationNet,
    file_digests,
    identify,
    identity_in,
    load_averaged,
    load_cross_fitted,
    load_weights,
    parameters_digest,
    put_identity,
    read_weights,
)

SHIPPED = Path(__file__).parents[2] / "bundle" / "models"
NAMES = {1: "organ", 2: "tumour"}
SWITCHES = ("use_image", "log_probabilities", "residual")
VARIANTS = [dict(zip(SWITCHES, values, strict=True)) for values in itertools.product((True, False), repeat=3)]


def confidence_net(**options):
    return ConfidenceNet(2, 4, 3, channels=(4, 8), strides=(2,), **options)


def local_net(classes, strides=(2, 2)):
    return LocalCalibrationNet(2, classes + 1, classes, channels=(4, 8), strides=strides)


def segmenter(**options):
    return EnhancedUNet(2, out_channels=3, channels=(4, 8), strides=(2,), **options)


def save(network, file, label_names=None, made_for=None):
    state = network.state_dict()
    put_identity(state, identify(network, label_names, made_for))
    torch.save(state, file)
    return file


# what shapes cannot show: (in the file, in the configuration, the difference that the line names)
WRONG_PAIRS = [
    *(
        (confidence_net(**a), confidence_net(**b), next(f"{name}={a[name]}" for name in SWITCHES if a[name] != b[name]))
        for a, b in itertools.permutations(VARIANTS, 2)
    ),
    *((local_net(3), local_net(n), "num_classes=3") for n in (2, 4)),
    (local_net(3), local_net(3, strides=(1, 2)), r"strides=\[2, 2\]"),
    (segmenter(), segmenter(dilations=(1, 1)), r"dilations=\[2, 4\]"),
    (segmenter(), segmenter(act="RELU"), "act=LEAKYRELU"),
    (
        segmenter(),
        DSResUNet(2, channels=(4, 8), strides=(2,)),
        "of EnhancedUNet, and the configuration builds DSResUNet",
    ),
    (UNet(2, 1, 2, (4, 8), (2,)), UNet(2, 1, 2, (4, 8), (1,)), r"strides=\[2\]"),
    (UNet(2, 1, 2, (4, 8), (2,)), UNet(2, 1, 2, (4, 8), (2,), act="relu"), "act=PRELU"),
    (nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()), nn.Sequential(nn.Conv2d(1, 2, 1), nn.ELU()), "with other layers"),
    (
        SegResNet(2, 8, upsample_mode="nontrainable"),
        SegResNet(2, 8, upsample_mode="pixelshuffle"),
        "other layers|upsample_mode",
    ),
]


@pytest.mark.parametrize(("there", "here", "named"), WRONG_PAIRS)
def test_wrong_pairs(tmp_path, there, here, named):
    with pytest.raises(ValueError, match=named) as caught:
        load_weights(here, save(there, tmp_path / "model.pt"))
    message = str(caught.value)
    assert "model.pt holds weights of another architecture" in message
    assert "the configuration builds" in message
    assert message.endswith("use the configuration that the file was trained with")
    assert "\n" not in message


@pytest.mark.parametrize("options", VARIANTS)
def test_each_variant_loads_into_itself(tmp_path, options):
    file = save(confidence_net(**options), tmp_path / "model.pt")
    torch.testing.assert_close(load_weights(confidence_net(**options), file).state_dict(), read_weights(file))


@pytest.mark.parametrize("kind", [EnhancedUNet, DSResUNet, ConfidenceNet, LocalCalibrationNet])
def test_every_option_is_part_of_the_structure(kind):
    """Also of one that is written in another way, which the options alone would take for another network."""
    steps = 3 if kind is LocalCalibrationNet else 2
    small = {"channels": (8, 16, 16), "strides": (2,) * steps}
    others = {"spatial_dims": 2, "channels": (4, 8, 8), "strides": (4,) * steps, "dilations": (1, 2)}
    others |= {"norm": ("GROUP", {"num_groups": 2}), "act": "RELU"}
    others |= {"in_channels": 5, "num_classes": 3, "out_channels": 7, "smoothings": 1}
    base = identify(kind(**small))
    for name, parameter in inspect.signature(kind).parameters.items():
        value = others.get(name, not parameter.default)
        assert identify(kind(**{**small, name: value}))["structure"] != base["structure"], name
    written = {**small, "act": "leakyrelu", "strides": [[2, 2, 2] for _ in small["strides"]]}
    assert identify(kind(**written))["structure"] == base["structure"]


def test_the_same_network_in_other_words_is_loaded(tmp_path):
    file = save(segmenter(norm="INSTANCE"), tmp_path / "model.pt")
    load_weights(segmenter(norm="instance"), file)


@pytest.mark.parametrize(
    "here",
    [{1: "organ", 2: "lesion"}, {1: "tumour", 2: "organ"}, {"1": "organ"}, {1: "organ", 2: "tumour", 3: "vessel"}],
)
def test_renamed_labels_are_refused(tmp_path, here):
    file = save(segmenter(), tmp_path / "model.pt", NAMES)
    load_weights(segmenter(), file, {"1": "organ", "2": "tumour"})
    for load in (load_weights, load_averaged, lambda S, file, names: load_cross_fitted(S, [file], names)):
        arguments = ([], here) if load is load_averaged else (here,)
        with pytest.raises(ValueError, match="model.pt was trained for the classes 1 organ, 2 tumour, and the config"):
            load(segmenter(), file, *arguments)


def test_d_of_another_s_is_refused_unless_that_is_asked_for(tmp_path, caplog):
    torch.manual_seed(0)
    S = segmenter()
    own, other = save(S, tmp_path / "model.pt"), save(segmenter(), tmp_path / "other.pt")
    D = save(confidence_net(), tmp_path / "model_confidence.pt", made_for=file_digests(S))
    for known in (S, own, str(own), [own]):
        load_weights(confidence_net(), D, made_for=known)
    for known in (segmenter(), other, [own, other]):
        with pytest.raises(ValueError, match="model_confidence.pt was trained to judge the S of weights") as caught:
            load_weights(confidence_net(), D, made_for=known)
        assert file_digests(own)[0] in str(caught.value)
        assert file_digests(known)[0] in str(caught.value)
        assert "--other_S True" in str(caught.value)
        assert "\n" not in str(caught.value)
        load_weights(confidence_net(), D, made_for=known, other_S=True)
    assert not caplog.text


def test_d_of_an_ensemble_belongs_to_its_members_in_any_order(tmp_path):
    files = [save(segmenter(), tmp_path / f"{i}.pt") for i in range(3)]
    D = save(confidence_net(), tmp_path / "d.pt", made_for=file_digests(files))
    load_weights(confidence_net(), D, made_for=files[::-1])
    with pytest.raises(ValueError, match="--other_S"):
        load_weights(confidence_net(), D, made_for=files[:2])


@pytest.mark.parametrize(
    "wrap",
    [
        dict,
        lambda state: {"model": state, "epoch": 3},
        lambda state: {"state_dict": state},
        lambda state: OrderedDict((f"module.{name}", value) for name, value in state.items()),
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
    ],
    ids=["raw", "model", "state_dict", "module.", "model and module."],
)
def test_other_programs_files_are_taken_with_a_warning(tmp_path, caplog, wrap):
    network = segmenter()
    torch.save(wrap(network.state_dict()), tmp_path / "model.pt")
    with caplog.at_level(logging.WARNING):
        loaded = load_weights(segmenter(), tmp_path / "model.pt", NAMES, network)
    assert caplog.text.count("model.pt does not say which network it is of; its shapes decide whether it fits") == 1
    torch.testing.assert_close(loaded.state_dict(), network.state_dict())
    assert file_digests(tmp_path / "model.pt") == file_digests(network)


def test_an_identity_survives_the_wrappings(tmp_path):
    """A program that keeps PyTorch's own versions of the modules, as DistributedDataParallel does, keeps it too."""
    state = segmenter().state_dict()
    put_identity(state, identify(segmenter(), NAMES))
    torch.save({"model": state}, tmp_path / "model.pt")
    assert identity_in(read_weights(tmp_path / "model.pt"))["label_names"] == {"1": "organ", "2": "tumour"}


def test_other_readers_see_the_tensors_alone(tmp_path):
    file = save(segmenter(), tmp_path / "model.pt", NAMES)
    saved = torch.load(file, weights_only=True)
    assert {*saved} == {*segmenter().state_dict()}
    assert all(isinstance(value, torch.Tensor) for value in saved.values())
    segmenter().load_state_dict(saved, strict=True)


def test_a_network_in_a_wrapper_for_several_processes_is_itself():
    assert identify(nn.DataParallel(segmenter())) == identify(segmenter())


def test_the_shipped_weights_are_those_that_were_measured():
    """By digest: neither the identity that was added to the files nor anything else has changed a bit of them."""
    S, D = (read_weights(SHIPPED / name) for name in ("model.pt", "model_confidence.pt"))
    assert (parameters_digest(S), parameters_digest(D)) == ("ca73ad11a1c8a1ba", "f0b4920aa2a1b523")
    assert identity_in(S)["class"] == "EnhancedUNet"
    assert identity_in(D)["class"] == "LocalCalibrationNet"
    assert identity_in(D)["made_for"] == [parameters_digest(S)]
    names = {"1": "anterior hippocampus", "2": "posterior hippocampus"}
    assert identity_in(S)["label_names"] == identity_in(D)["label_names"] == names


@pytest.mark.parametrize("classes", [2, 4])
def test_the_shipped_d_does_not_judge_other_classes(classes):
    D = LocalCalibrationNet(3, classes + 1, classes, channels=(16, 32, 64), strides=(2, 2, 2))
    D.load_state_dict(torch.load(SHIPPED / "model_confidence.pt", weights_only=True))  # its shapes do fit
    with pytest.raises(
        ValueError, match=f"num_classes=3, and the configuration builds it with .*num_classes={classes}"
    ):
        load_weights(D, SHIPPED / "model_confidence.pt")
