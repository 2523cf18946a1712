"""Each part of this package in a configuration of the model zoo's shape: trains, and evaluates."""

import importlib.util
import sys
from pathlib import Path
from statistics import mean

import pytest
from ignite.engine import Events
from monai.bundle import ConfigWorkflow

from dam_components.networks import ConfidenceNet

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIDENCE = ("train.json", "confidence_trainer.json")
TINY_S = {"network_def#channels": [4, 8, 8], "network_def#strides": [2, 2]}
TINY_D = {"confidence_network_def#channels": [4, 8], "confidence_network_def#strides": [2]}
TINY_SWIN = {
    "patch_size": [32, 32, 32],
    "network_def#norm_name": "batch",  # its smallest feature maps are one voxel here, too few for its instance norm
    "network_def#depths": [1, 1, 1, 1],
    "network_def#num_heads": [1, 2, 2, 2],
    "network_def#feature_size": 12,
}
TINY_DYNUNET = {
    "network_def#kernel_size": [3, 3, 3],
    "network_def#strides": [1, 2, 2],
    "network_def#upsample_kernel_size": [2, 2],
    "network_def#filters": [4, 4, 8],
    "network_def#deep_supr_num": 1,
}
# one iteration an epoch: VNet has 45 million weights at any size, SwinUNETR needs patches of 32
ONE_BATCH = {"batch_size": 2, "train#random_transforms#0#num_samples": 1}
# the configurations, and what makes their networks small
SWAPS = {
    "the original": (("train.json",), TINY_S),
    "EnhancedUNet": (("train.json", "enhanced_unet.json"), TINY_S),
    "DifficultyAwareHybridLoss": (("train.json", "difficulty_loss.json"), TINY_S),
    "sigmoid": (("train.json", "sigmoid.json"), TINY_S),
    "ConfidenceTrainer": (CONFIDENCE, TINY_S | TINY_D),
    "ConfidenceMapd": ((*CONFIDENCE, "confidence_map.json"), TINY_S | TINY_D),
    "all": (
        (*CONFIDENCE, "enhanced_unet.json", "difficulty_loss.json", "confidence_map.json"),
        TINY_S | TINY_D,
    ),
    "VNet": ((*CONFIDENCE, "networks/vnet.json"), TINY_D | ONE_BATCH),
    "DynUNet": ((*CONFIDENCE, "networks/dynunet.json"), TINY_D | TINY_DYNUNET),
    "SegResNet": ((*CONFIDENCE, "networks/segresnet.json"), TINY_D | {"network_def#init_filters": 8}),
    "SwinUNETR": ((*CONFIDENCE, "networks/swinunetr.json"), TINY_D | TINY_SWIN | ONE_BATCH),
}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct")
    load(EXAMPLES / "spleen_like" / "make_data.py").make_data(folder, cases=3, size=32)
    return folder


@pytest.fixture
def run(ct, tmp_path, monkeypatch):
    """Runs two epochs of the configurations; gives the workflow and the loss of every iteration."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run_swap(names, changes):
        workflow = ConfigWorkflow(
            [str(EXAMPLES / "spleen_like" / name) for name in names],
            logging_file=False,
            bundle_root=str(tmp_path),
            dataset_dir=str(ct),
            validation_cases=1,
            epochs=2,
            learning_rate=0.003,
            **{
                "device": "cpu",
                "patch_size": [16, 16, 16],
                "batch_size": 1,
                "train#random_transforms#0#num_samples": 2,
                "validate#inferer#overlap": 0,
                **changes,
            },
        )
        workflow.initialize()
        losses = []
        trainer = workflow.parser.get_parsed_content("train#trainer")
        with trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda: losses.append(float(trainer.state.output[0]["loss"]))
        ):
            workflow.run()
        return workflow, losses

    return run_swap


@pytest.mark.parametrize("name", SWAPS)
def test_a_swap_trains_with_falling_loss_and_evaluates(run, tmp_path, name):
    names, changes = SWAPS[name]
    workflow, losses = run(names, changes)
    half = len(losses) // 2
    assert half >= 1
    assert mean(losses[half:]) < mean(losses[:half])
    evaluator = workflow.parser.get_parsed_content("validate#evaluator")
    assert 0 <= evaluator.state.metrics["val_mean_dice"] <= 1
    files = {file.name for file in (tmp_path / "models").iterdir()}
    assert files == {"model.pt", "model_confidence.pt"} if "confidence_trainer.json" in names else {"model.pt"}
    result = evaluator.state.output[0]
    assert ("confidence" in result) == ("confidence_map.json" in names)
    if "confidence" in result:
        M = result["confidence"]
        assert M.shape[1:] == result["pred"].shape[1:]
        assert 0 <= M.min() < M.max() <= 1


def test_the_page_is_what_its_command_writes():
    generator = load(EXAMPLES / "make_page.py")
    assert generator.PAGE.read_bytes() == generator.page().encode(), "run python examples/make_page.py"


def test_one_sigmoid_channel_is_refused_by_d():
    with pytest.raises(ValueError, match="got 1: classes must exclude each other"):
        ConfidenceNet(3, in_channels=2, num_classes=1, channels=(4, 8), strides=(2,))


def test_every_swap_of_the_page_is_tested():
    tested = {name for names, _ in SWAPS.values() for name in names}
    assert {part[1] for part in load(EXAMPLES / "make_page.py").PARTS} <= tested
    files = {file.relative_to(EXAMPLES / "spleen_like").as_posix() for file in EXAMPLES.rglob("*.json")}
    assert files == tested
