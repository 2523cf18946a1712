"""What MONAI's own tools demand of a bundle."""

import configparser
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out

SCHEMA = Path(__file__).with_name("metadata_schema.json")
URL = "https://project-monai.github.io/schema/meta_schema_20240725.json"
OFFICIAL = "cd64aa8a5904426f6fc6855dabe46af8c742d5bad644b4e9cfb78ebad09ad678"  # SHA-256 of the file there
IMAGE = ("network_data_format", "inputs", "image")
PRED = ("network_data_format", "outputs", "pred")
JUDGED = ("confidence_network_data_format", "inputs", "probabilities_and_image")
TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")
VERSIONS = ("version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version")
REQUIRED = [
    *((name,) for name in (*VERSIONS, "task", "description", "authors", "copyright")),
    *(("network_data_format", *side) for side in ((), ("inputs",), ("outputs",))),
    *(("confidence_network_data_format", side) for side in ("inputs", "outputs")),
    *((*tensor, name) for tensor in (IMAGE, PRED, JUDGED) for name in TENSOR),
]


@pytest.fixture
def metadata(configs):
    return json.loads((configs / "metadata.json").read_text())


@pytest.fixture(params=["train.json", "inference.json"])
def config(request, configs):
    return str(configs / request.param)


def test_the_metadata_ask_for_this_package(metadata):
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    version = setup["metadata"]["version"].partition(".dev")[0]
    assert metadata["required_packages_version"]["dam-components"] == version


def test_verify_net_in_out(configs, config):
    verify_net_in_out("network_def", meta_file=str(configs / "metadata.json"), config_file=config, device="cpu")


def test_ckpt_export_gives_a_torchscript_network_that_agrees(configs, config, tmp_path):
    parser = ConfigParser()
    parser.read_config(config)
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(tmp_path / "model.pt"),
        meta_file=str(configs / "metadata.json"),
        config_file=config,
    )
    x = torch.rand(1, 1, 24, 21, 16)
    extra = {"metadata.json": ""}
    exported = torch.jit.load(tmp_path / "model.ts", _extra_files=extra).eval()
    with torch.no_grad():
        torch.testing.assert_close(exported(x), network(x))
    assert json.loads(extra["metadata.json"])["name"]


@pytest.fixture
def property_check(trained, monkeypatch, tmp_path):
    """`check_properties` of configurations, with the tiny networks and their weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def check(configs, kind, *names):
        workflow = ConfigWorkflow(
            [str(configs / name) for name in names],
            workflow_type=kind,
            logging_file=False,
            bundle_root=str(configs.parent),
            **trained.overrides,
            **trained.weights,
        )
        workflow.initialize()
        return workflow.check_properties()

    return check


def test_training_has_all_properties_under_their_ids(property_check, configs):
    assert property_check(configs, "train", "train.json", "tasks/pelvic.json") == []


def test_training_and_evaluation_together_have_all_properties(property_check, configs):
    """The model zoo's own tests ask this of every bundle."""
    assert property_check(configs, "train", "train.json", "evaluate.json", "tasks/pelvic.json") == []


def test_inference_has_all_properties_under_their_ids(property_check, configs):
    assert property_check(configs, "infer", "inference.json", "tasks/pelvic.json") == []


@pytest.fixture(params=["ours", "official"])
def schema(request):
    """A file with the schema. The official one is third-party text and not in the repository: DAM_SCHEMA names it."""
    if request.param == "ours":
        return SCHEMA
    if "DAM_SCHEMA" not in os.environ:
        pytest.skip(f"DAM_SCHEMA names no file; get it from {URL}")
    file = Path(os.environ["DAM_SCHEMA"])
    assert hashlib.sha256(file.read_bytes()).hexdigest() == OFFICIAL, f"{file} is not the file at {URL}"
    return file


def test_verify_metadata(configs, schema):
    # the schema file is there, so MONAI does not download the one that the metadata names
    verify_metadata(meta_file=str(configs / "metadata.json"), filepath=str(schema))


def place_of(metadata, path):
    for step in path:
        metadata = metadata[step]
    return metadata


def refuses(schema, metadata, folder):
    (folder / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata(meta_file=str(folder / "metadata.json"), filepath=str(schema))


@pytest.mark.parametrize("path", REQUIRED, ids="#".join)
def test_what_the_official_schema_requires_is_required(metadata, tmp_path, schema, path):
    del place_of(metadata, path[:-1])[path[-1]]
    refuses(schema, metadata, tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 1),
        (("references",), "Nie et al."),
        (("required_packages_version",), ["torch"]),
        ((*IMAGE, "num_channels"), "1"),
        ((*IMAGE, "value_range"), ["0"]),
        ((*PRED, "channel_def"), []),
        ((*JUDGED, "spatial_shape"), 40),
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_refused(metadata, tmp_path, schema, path, value):
    place_of(metadata, path[:-1])[path[-1]] = value
    refuses(schema, metadata, tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("changelog",), {}),
        (("authors",), ""),
        ((*PRED, "channel_def"), {}),
        ((*PRED, "value_range"), [0]),
        ((*IMAGE, "spatial_shape"), [0, 1, 1]),
    ],
    ids=str,
)
def test_our_schema_refuses_more_than_the_official_one(metadata, tmp_path, path, value):
    place_of(metadata, path[:-1])[path[-1]] = value
    refuses(SCHEMA, metadata, tmp_path)


def test_metadata_says_what_the_default_networks_take_and_give(configs, metadata):
    parser = ConfigParser()
    parser.read_config([str(configs / "inference.json")])
    inputs, outputs = metadata["network_data_format"]["inputs"], metadata["network_data_format"]["outputs"]
    assert [*inputs] == ["image"]
    assert [*outputs] == ["pred"]
    image, pred = inputs["image"], outputs["pred"]
    assert image["num_channels"] == parser["image_channels"]
    assert pred["num_channels"] == 1 + len(parser["label_names"])
    assert image["spatial_shape"] == pred["spatial_shape"] == parser["patch_size"]
    labels = {"0": "background", **parser["label_names"]}
    assert pred["channel_def"] == labels
