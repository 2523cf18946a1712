"""Growth of a whole inference by inference.json, from the file to report, picture, map and segmentation."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import fire
import nibabel
import numpy as np
import pandas as pd
import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer

from benchmarks.bundle_parts import CONFIGS
from benchmarks.memory import peaks_mb
from benchmarks.scaling import fit
from benchmarks.tables import write_table

__all__ = ["main", "measure"]

VOLUMES = ((48, 56, 40), (96, 56, 40), (96, 112, 40), (96, 112, 80), (192, 112, 80))  # 1 to 16 times
CLASSES = (2, 4, 10, 30, 60, 117)
OVERLAP = 0.0  # time grows with it, memory does not


def bundle(volume: Sequence[int], classes: int, overlap: float = OVERLAP) -> Callable[[], None]:
    """inference.json over one file of noise, with S and D of the bundle's sizes as they are before training."""
    folder = tempfile.mkdtemp()
    (Path(folder) / "images").mkdir()
    voxels = np.random.default_rng(0).integers(-1000, 1000, tuple(volume), dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), Path(folder) / "images" / "case.nii")
    del voxels
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    parser.update(
        {
            "bundle_root": str(CONFIGS.parent),
            "dataset_dir": f"{folder}/images",
            "output_dir": f"{folder}/results",
            "calibration": f"{folder}/none.json",
            "label_names": {str(index): f"structure {index}" for index in range(1, classes)},
            "num_classes": classes,
            "overlap": overlap,
            "weights": f"{folder}/S.pt",
            "confidence_weights": f"{folder}/D.pt",
        }
    )
    for file, network in (("S.pt", "network_def"), ("D.pt", "confidence_network_def")):
        torch.save(parser.get_parsed_content(network).state_dict(), Path(folder) / file)

    def run() -> None:
        parser.get_parsed_content("evaluator").run()
        shutil.rmtree(folder)

    return run


def window_alone(volume: Sequence[int], classes: int, overlap: float = OVERLAP) -> Callable[[], None]:
    """MONAI's sliding window and the softmax, of a volume in memory."""
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    parser.update({"bundle_root": str(CONFIGS.parent), "num_classes": classes})
    S = parser.get_parsed_content("network_def").eval()

    @torch.no_grad()
    def run() -> None:
        inferer = SlidingWindowInferer((40, 56, 40), 2, overlap, mode="gaussian")
        inferer(torch.randn(1, 1, *volume), S).softmax(1)

    return run


def seconds(build: Callable[..., Callable[[], None]], volume: Sequence[int], classes: int, rounds: int) -> float:
    """Processor time, median of the rounds."""
    times = []
    for _ in range(rounds):
        work = build(volume, classes)
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def series(
    axis: str, sizes: Sequence[tuple[Sequence[int], int]], amounts: Sequence[int], rounds: int
) -> list[dict[str, object]]:
    """Rows of one axis, with the fit of the whole series."""
    rows: list[dict[str, object]] = []
    for what, build in (("whole inference", bundle), ("sliding window alone", window_alone)):
        build(*sizes[0])()  # imports and kernels
        took = [seconds(build, *size, rounds) for size in sizes]
        peaks = peaks_mb(build, [sizes[0], *sizes], repeats=1)[1:]
        for unit, costs in (("s", took), ("MB", peaks)):
            fitted = fit(amounts, costs)
            for (volume, classes), amount, cost in zip(sizes, amounts, costs, strict=True):
                float32 = np.prod(volume) * classes * 4 / 1e6
                rows.append(
                    {"what": what, "grows": axis, "amount": amount, "P_float32_MB": float32, "cost": cost, "unit": unit}
                    | fitted
                )
    return rows


def measure(
    volumes: Sequence[Sequence[int]] = VOLUMES, classes: Sequence[int] = CLASSES, rounds: int = 3
) -> pd.DataFrame:
    """One row a size; the fit's columns belong to the whole series."""
    of_volume = series("voxels", [(v, 4) for v in volumes], [int(np.prod(v)) for v in volumes], rounds)
    of_classes = series("classes", [(volumes[0], count) for count in classes], classes, rounds)
    return pd.DataFrame(of_volume + of_classes)


def large(volume: Sequence[int], classes: int) -> pd.DataFrame:
    """Peak memory of one large volume, over what the process held before."""
    float32 = float(np.prod(volume) * classes * 4 / 1e6)
    rows = []
    for what, build in (("whole inference", bundle), ("sliding window alone", window_alone)):
        peak = peaks_mb(build, [((48, 56, 40), classes), (volume, classes)], repeats=1)[1]
        rows.append({"what": what, "P_float32_MB": float32, "peak_mb": peak, "times_P": peak / float32})
    return pd.DataFrame(rows)


def main(
    output_dir: str = "docs/results/benchmarks",
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 3,
    volume: Sequence[int] | None = None,
    classes: int = 4,
) -> None:
    """Writes whole_inference.md and .csv; with a ``volume`` large_volume.md and .csv, its peak memory instead."""
    torch.set_num_threads(threads)
    if volume is not None:
        title = f"Peak memory of a volume of {'x'.join(map(str, volume))}, {classes} classes, over the process's own"
        command = f"whole_inference --volume {','.join(map(str, volume))}"
        write_table(large(volume, classes), output_dir, "large_volume", title, device, command)
        return
    title = "Growth of a whole inference with volume and classes (exponent 1: linear), windows without overlap"
    write_table(measure(rounds=rounds), output_dir, "whole_inference", title, device)


if __name__ == "__main__":
    fire.Fire(main)
