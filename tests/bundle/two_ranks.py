"""What each of two processes does for test_multi_process.py: ``torchrun --nproc_per_node=2 two_ranks.py FOLDER``.

Both trainings and the evaluation share one start, which takes longer than they do.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from monai.bundle import ConfigWorkflow
from torch.nn.parallel import DistributedDataParallel

from dam_components.engines import ConfidenceTrainer
from dam_components.losses import AdversarialLoss, ConfidenceLoss, DifficultyAwareHybridLoss
from dam_components.networks import EnhancedUNet, LocalCalibrationNet


def plain_steps(rank: int = 0, ranks: int = 1, epochs: int = 2) -> dict[str, torch.Tensor]:
    """All that training changes, after epochs of three batches of four, of which each rank sees its part.

    The terms are those that are means over voxels or over items: F is not scaled by its mean over the batch, D looks at
    all voxels alike. D judges labels too (two forward passes, one backward), from epoch 2 on S heeds D. Plain descent:
    Adam's steps follow the sign of a gradient that is zero up to rounding.
    """
    torch.manual_seed(3)
    images = torch.randn(3, 4, 1, 16, 16)
    batches = [
        {"image": image[rank::ranks], "label": (image[rank::ranks] > 0.3).float() + (image[rank::ranks] > 1)}
        for image in images
    ]
    S = EnhancedUNet(2, 1, 3, channels=(4, 8, 8), strides=(2, 2))
    D = LocalCalibrationNet(2, 4, 3, channels=(4, 8), strides=(2, 2))
    if ranks > 1:
        S, D = DistributedDataParallel(S), DistributedDataParallel(D)
    loss = DifficultyAwareHybridLoss(3, momentum=0.3)
    trainer = ConfidenceTrainer(
        "cpu",
        epochs,
        batches,
        S,
        torch.optim.SGD(S.parameters(), 0.1),
        loss,
        D,
        torch.optim.SGD(D.parameters(), 0.1),
        ConfidenceLoss("adversarial"),
        AdversarialLoss(),
        lambda_adv=0.1,
        warmup_epochs=1,
        clip_grad_norm=0.5,
    )
    if epochs:
        trainer.run()
    parts = {"S": getattr(S, "module", S), "D": getattr(D, "module", D), "loss": loss}
    return {f"{part}.{name}": v for part, module in parts.items() for name, v in module.state_dict().items()}


def bundle(folder: Path) -> tuple[ConfigWorkflow, dict[str, object]]:
    """Trains by multi_gpu_train.json, evaluates by multi_gpu_evaluate.json, and tells what this rank ended with."""
    asked = json.loads((folder / "asked.json").read_text())
    # the log of the training is looked at: it is configured as monai.bundle run does it
    log = str(Path(asked["train"][0]).with_name("logging.conf"))
    training = ConfigWorkflow(asked["train"], logging_file=log, **asked["overrides"])
    training.initialize()
    training.run()
    part = training.parser.get_parsed_content
    told = {
        "S": part("network").module.state_dict(),
        "D": part("confidence_network").module.state_dict(),
        "loss": part("loss").state_dict(),
        "dice": float(part("validate#evaluator").state.metrics["val_mean_dice"]),
        "sampler_epoch": part("train#sampler").epoch,
        "cases": list(part("train#sampler")),
    }
    dist.barrier()  # until rank 0 has written the weights
    evaluation = ConfigWorkflow(
        asked["evaluate"], logging_file=False, **{**asked["overrides"], **asked["evaluation"]}, initialize=[]
    )
    evaluation.initialize()
    evaluation.run()
    told["mean_dice"] = evaluation.parser.get_parsed_content("validate#evaluator").state.metrics["mean_dice"]
    return training, told


if __name__ == "__main__":
    torch.set_num_threads(1)
    place = Path(sys.argv[1])
    workflow, results = bundle(place)
    results["steps"] = plain_steps(dist.get_rank(), dist.get_world_size())
    torch.save(results, place / f"rank{dist.get_rank()}.pt")
    workflow.finalize()
