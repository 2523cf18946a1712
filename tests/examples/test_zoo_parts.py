"""Each part in configurations with the traits of three bundles of the model zoo, and in the zoo's own where DAM_ZOO is.

DAM_ZOO names the folder ``models`` of a checkout of Project-MONAI/model-zoo.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from statistics import mean

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow

EXAMPLES = Path(__file__).parents[2] / "examples"
ZOO = EXAMPLES / "zoo_like"
REAL = {"ct": "spleen_ct_segmentation", "mr": "prostate_mri_anatomy", "multichannel": "brats_mri_segmentation"}
PART = {name: f"parts/{name}.json" for name in ("difficulty_loss", "confidence_network", "confidence_trainer")}
D = [PART["confidence_network"], PART["confidence_trainer"]]
EXCLUSIVE = {"ct": [], "mr": [], "multichannel": ["multichannel/exclusive.json"]}
MAP = dict.fromkeys(("ct", "mr"), "parts/confidence_map.json") | {"multichannel": "multichannel/confidence_map.json"}
PARTS = {
    "enhanced unet": lambda kind: [f"{kind}/enhanced_unet.json"],
    "difficulty loss": lambda kind: [*EXCLUSIVE[kind], PART["difficulty_loss"]],
    "confidence": lambda kind: [*EXCLUSIVE[kind], *D, MAP[kind]],
}
CROP = {
    "_target_": "RandCropByPosNegLabeld",
    **{"keys": ["image", "label"], "label_key": "label", "spatial_size": [16, 16, 16], "num_samples": 4},
}
BOTH = {"bundle_root": None, "device": "cpu", "network_def#channels": [4, 8, 8], "network_def#strides": [2, 2]}
TRAIN = {
    **{"train#random_transforms": [CROP], "train#dataloader#num_workers": 0, "train#dataloader#batch_size": 1},
    **{"validate#dataloader#num_workers": 0, "val_interval": 1, "validate#inferer#roi_size": [16, 16, 16]},
    **{
        "train#trainer#amp": False,
        "validate#evaluator#amp": False,
        "train#trainer#max_epochs": 2,
        "optimizer#lr": 0.01,
    },
}
INFER = {"dataloader#num_workers": 0, "inferer#roi_size": [16, 16, 16], "evaluator#amp": False}
TINY_D = {"confidence_network_def#channels": [4, 8], "confidence_network_def#strides": [2]}
TINY_S = {"network_def#init_filters": 8, "network_def#blocks_down": [1, 1], "network_def#blocks_up": [1]}
PAIRS = "$[{'image': i, 'label': l} for i, l in zip(@images[%s], @labels[%s])]"
OWN = {  # what makes each bundle small, in training and in inference
    "ct": (
        {"train#dataset#data": PAIRS % (":3", ":3"), "validate#dataset#data": PAIRS % ("3:", "3:")},
        {"datalist": "$sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz'))[-1:]"},
    ),
    "mr": ({}, {}),
    "multichannel": (
        {
            "train#random_transforms": [
                {"_target_": "RandSpatialCropd", "keys": ["image", "label"], "roi_size": [16] * 3}
            ]
        },
        {},
    ),
}


# MONAI's networks as S under ConfidenceTrainer, small; VNet has 45 million weights at any size
SWIN = {"network_def#norm_name": "batch", "network_def#depths": [1] * 4, "network_def#num_heads": [1, 2, 2, 2]}
NETWORKS = {
    "vnet": {},
    "dynunet": {
        **{"network_def#kernel_size": [3, 3, 3], "network_def#strides": [1, 2, 2], "network_def#deep_supr_num": 1},
        **{"network_def#upsample_kernel_size": [2, 2], "network_def#filters": [4, 4, 8]},
    },
    "segresnet": {"network_def#init_filters": 8},
    "swinunetr": {  # its smallest feature maps are one voxel of a patch of 32, too few for its instance norm
        **SWIN,
        "network_def#feature_size": 12,
        "validate#inferer#roi_size": [32, 32, 32],
        "train#random_transforms": [
            {"_target_": "SpatialPadd", "keys": ["image", "label"], "spatial_size": [32, 32, 32]},
            {**CROP, "spatial_size": [32, 32, 32], "num_samples": 2},
        ],
    },
}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["look-alike", "real"])
def configs(request):
    """The folder of a bundle's configurations."""

    def folder(kind):
        if request.param == "look-alike":
            return ZOO / kind
        if "DAM_ZOO" not in os.environ:
            pytest.skip("DAM_ZOO names no folder of the model zoo's bundles")
        return Path(os.environ["DAM_ZOO"]) / REAL[kind] / "configs"

    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            load(ZOO / "make_data.py").make_data(kind, made[kind], cases=4, size=24)
        return made[kind]

    return folder


def settings(kind, parts, root, data, step):
    """Overrides for a training or an inference that takes a second."""
    small = dict(BOTH)
    if kind == "multichannel":
        small["data_list_file_path"] = str(data / "datalist.json")
        if "multichannel/enhanced_unet.json" not in parts:
            small = {name: value for name, value in small.items() if not name.startswith("network_def")} | TINY_S
    if kind == "mr" and f"{kind}/enhanced_unet.json" not in parts:
        small["network_def#num_res_units"] = 1
    if any("networks/" in part for part in parts):
        small = {name: value for name, value in small.items() if not name.startswith("network_def")}
    small |= TINY_D if PART["confidence_network"] in parts else {}
    small |= (TRAIN if step == "train" else INFER) | OWN[kind][step != "train"]
    return {**small, "bundle_root": str(root), "dataset_dir": f"{data}/", "output_dir": str(root / "eval")}


def workflow_of(files, kind, parts, root, data, step, **more):
    entries = settings(kind, parts, root, data, step) | more
    names = [str(file) for file in [*files, *(ZOO / part for part in parts)]]
    workflow = ConfigWorkflow(names, workflow_type=step, logging_file=False, **entries)
    workflow.initialize()
    return workflow


def train(configs, kind, parts, root, data, **more):
    workflow = workflow_of([configs(kind) / "train.json"], kind, parts, root, data, "train", **more)
    losses = []
    trainer = workflow.parser.get_parsed_content("train#trainer")
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(float(trainer.state.output[0]["loss"])))
    workflow.run()
    return workflow, losses


@pytest.fixture(autouse=True)
def own_path(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", REAL)
def test_a_part_trains_with_falling_loss_and_infers_in_the_images_space(configs, data, tmp_path, kind, part):
    parts = PARTS[part](kind)
    workflow, losses = train(configs, kind, parts, tmp_path, data(kind))
    half = len(losses) // 2
    assert half >= 2
    assert mean(losses[half:]) < mean(losses[:half])
    evaluator = workflow.parser.get_parsed_content("validate#evaluator")
    assert 0 <= evaluator.state.metrics["val_mean_dice"] <= 1
    if part != "confidence":
        return
    assert 0 <= evaluator.state.output[0]["confidence"].min() < evaluator.state.output[0]["confidence"].max() <= 1
    parts = [*EXCLUSIVE[kind], PART["confidence_network"], f"{kind}/inference_map.json"]
    inference = [part for part in parts if part != "multichannel/exclusive.json"]
    workflow_of([configs(kind) / "inference.json"], kind, inference, tmp_path, data(kind), "infer").run()
    check_results(tmp_path / "eval", kind)
    # a D that gives the image itself: the map must lie where the image lies
    channels = 1 if kind != "multichannel" else 4
    classes = {"ct": 2, "mr": 3, "multichannel": 4}[kind]
    shown = torch.nn.Conv3d(classes + channels, 1, 1, bias=False)
    torch.nn.init.zeros_(shown.weight)
    shown.weight.data[0, -1] = 1
    torch.save(shown.state_dict(), tmp_path / "models" / "model_confidence.pt")
    as_image = {
        "_target_": "torch.nn.Conv3d",
        **{"in_channels": classes + channels, "out_channels": 1, "kernel_size": 1, "bias": False},
    }
    inference.remove(PART["confidence_network"])
    last = {"confidence_network_def": as_image}
    workflow_of([configs(kind) / "inference.json"], kind, inference, tmp_path, data(kind), "infer", **last).run()
    image, map_ = check_results(tmp_path / "eval", kind)
    right = np.corrcoef(image.ravel(), map_.ravel())[0, 1]
    assert right > 0.8
    assert right > 0.3 + max(np.corrcoef(image.ravel(), np.flip(map_, axis).ravel())[0, 1] for axis in range(3))


def check_results(folder, kind):
    """Image and map of the last case: on one grid, as the segmentation; with a report."""
    (report,) = folder.rglob("*_report.json")
    content = json.loads(report.read_text(encoding="utf-8"))
    assert (
        content["classes"].keys()
        == {
            "ct": {"spleen"},
            "mr": {"central gland", "peripheral zone"},
            "multichannel": {"necrosis", "oedema", "enhancing tumour"},
        }[kind]
    )
    (map_,) = folder.rglob("*_confidence.nii.gz")
    (labels,) = {*folder.rglob("*.nii.gz")} - {map_}
    image = nib.load(content["image"] if isinstance(content["image"], str) else content["image"][0])
    grids = [nib.load(file) for file in (map_, labels)]
    for grid in grids:
        assert grid.shape == image.shape
        np.testing.assert_allclose(grid.affine, image.affine, atol=1e-4)
    values = np.asarray(grids[0].get_fdata())
    assert 0 <= values.min() < values.max() <= 1
    assert {*np.unique(grids[1].get_fdata())} <= ({0, 1, 2, 4} if kind == "multichannel" else {0, 1, 2})
    return np.asarray(image.get_fdata()), values


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_monai_trains_under_the_confidence_trainer(data, tmp_path, name):
    parts = [*D, f"ct/networks/{name}.json"]
    workflow, losses = train(lambda kind: ZOO / kind, "ct", parts, tmp_path, data("ct"), **NETWORKS[name])
    half = len(losses) // 2
    assert mean(losses[half:]) < mean(losses[:half])
    assert {file.name for file in (tmp_path / "models").iterdir()} == {"model.pt", "model_confidence.pt"}
    assert 0 <= workflow.parser.get_parsed_content("validate#evaluator").state.metrics["val_mean_dice"] <= 1


def test_the_page_is_what_its_command_writes():
    generator = load(EXAMPLES / "make_page.py")
    assert generator.PAGE.read_bytes() == generator.page().encode(), "run python examples/make_page.py"


def test_every_overlay_is_on_the_page_and_tested():
    shown = {part.overlay for part in load(EXAMPLES / "make_page.py").PARTS}
    files = {file.relative_to(ZOO).as_posix() for file in ZOO.rglob("*.json")}
    assert files - shown == {f"{kind}/{name}.json" for kind in REAL for name in ("train", "inference")}
    tested = {name for kind in REAL for part in PARTS.values() for name in part(kind)}
    tested |= {f"{kind}/inference_map.json" for kind in REAL} | {f"ct/networks/{name}.json" for name in NETWORKS}
    assert shown == tested
