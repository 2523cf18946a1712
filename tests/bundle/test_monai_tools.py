"""What MONAI's own tools demand of a bundle."""

import json
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out

SCHEMA = Path(__file__).with_name("metadata_schema.json")


@pytest.fixture
def metadata(configs):
    return json.loads((configs / "metadata.json").read_text())


@pytest.fixture(params=["train.json", "inference.json"])
def config(request, configs):
    return str(configs / request.param)


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


def test_verify_metadata(configs):
    # the schema file is there, so MONAI does not download the one that the metadata names
    verify_metadata(meta_file=str(configs / "metadata.json"), filepath=str(SCHEMA))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (None, "version", 1),
        (None, "changelog", {}),
        (None, "authors", ""),
        ("inputs", "num_channels", "1"),
        ("outputs", "channel_def", {}),
        ("outputs", "value_range", [0]),
        ("inputs", "spatial_shape", [0, 1, 1]),
    ],
)
def test_the_schema_refuses_what_the_specification_does(metadata, tmp_path, section, key, value):
    names = {"inputs": "image", "outputs": "pred"}
    place = metadata["network_data_format"][section][names[section]] if section else metadata
    place[key] = value
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(SCHEMA))


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
