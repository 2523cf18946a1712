"""A volume segmented: S by sliding window, with its confidence map, with the report; and a plain UNet of S's size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fire
import nibabel
import numpy as np
import pandas as pd
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from torch import nn

from benchmarks.pairing import interleave, time_rows
from benchmarks.tables import write_table
from benchmarks.training_steps import Problem
from dam_components.transforms import CaseReportd, ConfidenceMapd, ReviewPictured

__all__ = ["main", "measure", "unet_like"]

BUNDLE = Problem(patch=(40, 56, 40), strides=(2, 2, 2))


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def unet_like(S: nn.Module, classes: int, strides: Sequence) -> UNet:
    """MONAI's UNet with residual units and S's strides, as wide as comes nearest to S in parameters."""

    def unet(width: int) -> UNet:
        channels = [width * 2**stage for stage in range(len(strides) + 1)]
        return UNet(3, 1, classes, channels, strides, num_res_units=2)

    with torch.device("meta"):  # sizes without weights
        width = min(range(2, 65), key=lambda width: abs(size(unet(width)) - size(S)))
    return unet(width)


def variants(
    problem: Problem, volume: Sequence[int], overlap: float, windows: int, output_dir: str
) -> dict[str, Callable[[], object]]:
    """Each from the image on the device to what a user keeps."""
    S, D = (network.eval() for network in problem.networks())
    plain = unet_like(S, problem.classes, problem.strides).to(problem.device).eval()
    file = Path(output_dir) / "volume.nii"  # the report asks its header for the spacing
    nibabel.save(nibabel.Nifti1Image(np.zeros(tuple(volume), np.uint8), np.eye(4)), file)
    image = MetaTensor(torch.randn(1, 1, *volume).to(problem.device), meta={"filename_or_obj": str(file)})
    inferer = SlidingWindowInferer(problem.patch, windows, overlap, mode="gaussian")
    confident = ConfidenceMapd("pred", D, inferer=inferer, amp=problem.amp)
    names = {str(index): f"structure {index}" for index in range(1, problem.classes)}
    report = CaseReportd("pred", names, output_dir=output_dir)
    picture = ReviewPictured("pred", names, output_dir=output_dir)

    @torch.no_grad()
    def segment(network: nn.Module) -> torch.Tensor:
        with torch.autocast(problem.device, enabled=problem.amp):
            logits: Any = inferer(image.as_tensor(), network)
            return logits.float().softmax(1)

    def with_confidence() -> dict:
        probabilities = segment(S)
        data = confident({"pred": probabilities[0], "image": image[0]})
        return {**data, "pred": MetaTensor(probabilities[0], meta=image.meta)}

    def with_report() -> dict:
        data = report(with_confidence())
        return {**data, "pred": data["pred"].argmax(0, keepdim=True)}

    return {
        "S": lambda: segment(S).argmax(1),
        "S and D": lambda: (lambda data: (data["pred"].argmax(0), data["confidence"]))(with_confidence()),
        "S, D and report": with_report,
        "S, D, report and picture": lambda: picture(with_report()),
        f"UNet, {size(plain) / size(S):.2f} of S's parameters": lambda: segment(plain).argmax(1),
    }


def measure(
    problem: Problem = BUNDLE,
    volume: Sequence[int] = (256, 256, 160),
    rounds: int = 3,
    overlap: float = 0.5,
    windows: int = 2,
) -> pd.DataFrame:
    """One row a variant; ratios to S alone."""
    with tempfile.TemporaryDirectory() as folder:
        work = variants(problem, volume, overlap, windows, folder)
        return pd.DataFrame(time_rows(interleave(work, rounds, problem.device, warmup=1), problem.device))


def main(
    output_dir: str = "docs/results/benchmarks",
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 3,
    volume: Sequence[int] = (256, 256, 160),
    amp: bool = False,
) -> None:
    """Writes inference.md and inference.csv, by default on the issue's volume (an hour on one CPU thread)."""
    torch.set_num_threads(threads)
    problem = Problem(patch=BUNDLE.patch, strides=BUNDLE.strides, device=device, amp=amp)
    title = f"A volume of {'x'.join(map(str, volume))}, {'AMP' if amp else 'float32'}"
    windows = 16 if device == "cuda" else 2
    write_table(measure(problem, volume, rounds, windows=windows), output_dir, "inference", title, device)


if __name__ == "__main__":
    fire.Fire(main)
