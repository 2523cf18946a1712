"""S, and S with its confidence, exported by MONAI's commands, agree with PyTorch on a real case; MONAI's Python API."""

import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, create_workflow, load, onnx_export

LEGACY = {"use_trace": True, "converter_kwargs": {"dynamo": False}}  # PyTorch's older exporter, which is faster
AXES = {2: "x", 3: "y", 4: "z"}
ANY_SIZE = {"input_names": ["image"], "output_names": ["both"], "dynamic_axes": {"image": AXES, "both": AXES}}
NETWORKS = {"network_def": LEGACY, "network_with_confidence": {"converter_kwargs": ANY_SIZE}}
OTHER_SIZES = [(48, 64, 56), (37, 53, 41)]  # of a window; the second is no multiple of the strides


@pytest.fixture(scope="module")
def shipped(hippocampus):
    """The bundle with its weights, and a real image, padded to one window."""
    root = Path(__file__).parents[2] / "bundle"
    files = [str(root / "configs" / name) for name in ("inference.json", "export_confidence.json")]
    parser = ConfigParser()
    parser.read_config(files)
    parser["bundle_root"], parser["device"] = str(root), "cpu"
    parser["dataset_dir"] = str(sorted((hippocampus / "imagesTr").glob("hippocampus_*.nii.gz"))[0])
    parser["preprocessing#transforms"].append(
        {"_target_": "ResizeWithPadOrCropd", "keys": "image", "spatial_size": "@patch_size"}
    )
    parser["dataset#data"] = [{"image": parser["dataset_dir"]}]
    parser.get_parsed_content("network")  # loads S's weights into network_def
    networks = {name: parser.get_parsed_content(name).eval() for name in NETWORKS}
    x = next(iter(parser.get_parsed_content("dataset")))["image"].as_tensor()[None]
    arguments = {
        "ckpt_file": str(root / "models" / "model.pt"),
        "meta_file": str(root / "configs" / "metadata.json"),
        "config_file": files,
        "bundle_root": str(root),
    }
    with torch.no_grad():
        return arguments, x, {name: network(x) for name, network in networks.items()}, networks


@pytest.mark.parametrize("name", NETWORKS)
def test_torchscript_agrees_on_a_real_case(shipped, tmp_path, name):
    arguments, x, expected, _ = shipped
    ckpt_export(name, filepath=str(tmp_path / "model.ts"), **arguments)
    with torch.no_grad():
        exported = torch.jit.load(tmp_path / "model.ts").eval()(x)
    torch.testing.assert_close(exported, expected[name], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_agrees_on_a_real_case(shipped, tmp_path, name):
    arguments, x, expected, networks = shipped
    onnx_export(name, filepath=str(tmp_path / "model.onnx"), **arguments, **NETWORKS[name])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    name_in = session.get_inputs()[0].name
    exported = torch.from_numpy(session.run(None, {name_in: x.numpy()})[0])
    torch.testing.assert_close(exported, expected[name], rtol=1e-4, atol=1e-4)
    for size in () if NETWORKS[name] is LEGACY else OTHER_SIZES:
        window = torch.randn(1, 1, *size)
        exported = torch.from_numpy(session.run(None, {name_in: window.numpy()})[0])
        with torch.no_grad():
            torch.testing.assert_close(exported, networks[name](window), rtol=0, atol=1e-4)


def test_s_and_its_confidence_are_those_of_the_bundle(shipped):
    _, x, expected, _ = shipped
    both = expected["network_with_confidence"]
    assert x.shape == (1, 1, 32, 48, 32)
    assert both.shape == (1, 4, 32, 48, 32)
    torch.testing.assert_close(both[:, :3], expected["network_def"].softmax(1))
    assert 0 <= both[:, 3].min() < 0.9 < both[:, 3].max() <= 1


def test_load_gives_s_with_its_weights(shipped):
    arguments, x, expected, _ = shipped
    root = Path(arguments["bundle_root"])
    S = load("bundle", bundle_dir=str(root.parent), workflow_type="inference", source="github").eval()
    with torch.no_grad():
        torch.testing.assert_close(S(x), expected["network_def"])


def test_create_workflow_runs_inference(shipped, hippocampus, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    arguments = shipped[0]
    images = tmp_path / "images"
    images.mkdir()
    (images / "case.nii.gz").symlink_to(sorted((hippocampus / "imagesTr").glob("hippocampus_*.nii.gz"))[0])
    workflow = create_workflow(
        config_file=arguments["config_file"][0],
        workflow_type="infer",
        logging_file=False,
        bundle_root=arguments["bundle_root"],
        dataset_dir=str(images),
        output_dir=str(tmp_path / "out"),
        device="cpu",
        amp=False,
        review_picture=False,
    )
    workflow.run()
    workflow.finalize()
    assert len(list((tmp_path / "out").glob("*/*_seg.nii.gz"))) == 1
