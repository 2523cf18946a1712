"""The benchmark of the nonzero box plans both ways, and tells Dice, time and memory of each case."""

import nibabel as nib
import numpy as np
import pandas as pd

from benchmarks import nonzero_box
from benchmarks.forked import Ended


def test_both_ways_are_planned_trained_and_compared(tmp_path, monkeypatch):
    label = np.zeros((32, 32, 32), np.uint8)
    label[8:20, 8:20, 8:20] = 1
    for number in range(3):
        image = np.zeros(label.shape, np.float32)
        image[6:22, 6:22, 6:22] = np.random.default_rng(number).normal(100, 10, (16, 16, 16))
        for part, array in (("images", image), ("labels", label)):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "data" / part / f"c{number}.nii.gz")
    seen = []

    def run(words, log):
        """In place of a training or an inference: the label, shifted by a voxel."""
        seen.append(words)
        if "inference.json" in words[3]:
            case = words[words.index("--dataset_dir") + 1].split("/")[-1].split(".")[0]
            out = tmp_path.__class__(words[words.index("--output_dir") + 1], case)
            out.mkdir(parents=True)
            nib.save(nib.Nifti1Image(np.roll(label, 1, 0), np.eye(4)), out / f"{case}_seg.nii.gz")
        return Ended(0, "", 100.0, 5.0)

    monkeypatch.setattr(nonzero_box, "started", run)
    nonzero_box.main(str(tmp_path / "data"), str(tmp_path / "out"), steps=10, label_names={1: "gland"})
    table = pd.read_csv(tmp_path / "out" / "nonzero_box.csv")
    assert table["way"].tolist() == ["box", "box", "whole image", "whole image", "box", "whole image"]
    assert table["what"].tolist() == [*["training, 10 steps", "c1"] * 2, *["mean of 1 cases"] * 2]
    assert table["mean Dice"].equals(table["Dice gland"])
    np.testing.assert_allclose(table["Dice gland"].dropna(), 11 / 12)
    assert len(seen) == 4
    assert seen[0][seen[0].index("--epochs") + 1] == "10"  # two cases train, in batches of two or more


def test_windows():
    assert nonzero_box.windows([144, 115, 139], [56, 40, 56]) == 5 * 5 * 4  # steps of 28, 20 and 28
    assert nonzero_box.windows([10, 10, 10], [16, 16, 16]) == 1
