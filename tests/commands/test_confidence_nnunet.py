"""From a folder as nnU-Net leaves it to a map of new images: nnunetv2 itself makes the folder, with a tiny network.

Needs the extra nnunet; takes about a minute. Its three commands are those of docs/confidence_for_nnunet.md.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("nnunetv2", reason="needs nnU-Net: pip install 'dam-components[nnunet]'", exc_type=Exception)

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (20, 18, 16)
TRAINER = '''
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerTiny(nnUNetTrainer):
    """Two epochs of two steps."""

    def __init__(self, plans, configuration, fold, dataset_json, device):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 2, 2, 1

    def plot_network_architecture(self):
        pass
'''


def run(words, folder):
    variables = {name: str(folder / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    extra = {"nnUNet_extTrainer": str(folder / "trainers"), "nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1"}
    environment = {**os.environ, **variables, **extra, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def program(name):
    """A console script of nnU-Net, in this interpreter's own environment."""
    return Path(sys.executable).with_name(name)


def write_case(raw, name, seed, split):
    draw = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"))
    centre = np.array(SHAPE)[:, None, None, None] / 2 + draw.uniform(-2, 2, (3, 1, 1, 1))
    label = ((((grid - centre) / 5) ** 2).sum(0) < 1).astype(np.uint8)
    image = (label + 0.3 * draw.standard_normal(SHAPE)).astype(np.float32)
    affine = np.diag([-1.0, -1.0, 1.2, 1.0])
    for folder, values, end in ((f"images{split}", image, "_0000"), (f"labels{split}", label, "")):
        (raw / folder).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, affine), raw / folder / f"{name}{end}.nii.gz")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset of six cases and two new ones, planned by nnU-Net, its network cut down; two folds."""
    root = tmp_path_factory.mktemp("nnunet")
    raw = root / "nnUNet_raw" / "Dataset900_Tiny"
    for number in range(8):
        write_case(raw, f"case_{number}", number, "Tr" if number < 6 else "Ts")
    index = {"channel_names": {"0": "T1"}, "labels": {"background": 0, "blob": 1}, "numTraining": 6}
    (raw / "dataset.json").write_text(json.dumps({**index, "file_ending": ".nii.gz"}))
    (root / "trainers").mkdir()
    (root / "trainers" / "tiny.py").write_text(TRAINER)
    run([program("nnUNetv2_plan_and_preprocess"), "-d", "900", "-c", "3d_fullres", "-np", "1", "-npfp", "1"], root)
    preprocessed = root / "nnUNet_preprocessed" / "Dataset900_Tiny"
    plan = json.loads((preprocessed / "nnUNetPlans.json").read_text())
    plan["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] = [4] * 3
    plan["configurations"]["3d_fullres"]["batch_size"] = 2
    (preprocessed / "nnUNetPlans.json").write_text(json.dumps(plan))
    names = [f"case_{number}" for number in range(6)]
    splits = [{"train": names[3:], "val": names[:3]}, {"train": names[:3], "val": names[3:]}]
    (preprocessed / "splits_final.json").write_text(json.dumps(splits))
    return root


def test_three_commands_from_nnunets_folder_to_maps_of_new_images(folder):
    raw = folder / "nnUNet_raw" / "Dataset900_Tiny"
    training = folder / "nnUNet_results" / "Dataset900_Tiny" / "nnUNetTrainerTiny__nnUNetPlans__3d_fullres"
    for fold in (0, 1):  # 1. as everybody trains, with --npz
        words = [program("nnUNetv2_train"), 900, "3d_fullres", fold, "-tr", "nnUNetTrainerTiny", "-device", "cpu"]
        run([*words, "--npz"], folder)
    dam = [sys.executable, "-m", "dam_components", "confidence"]
    fit = ["fit", "--images", raw / "imagesTr", "--labels", raw / "labelsTr", "--probabilities", training]
    printed = run([*dam, *fit, "--output", folder / "model", "--iterations", 12, "--resamples", 20], folder)
    assert "your word" not in printed  # the folds were found
    listed = json.loads((folder / "model" / "data" / "stored_cases.json").read_text())["cases"]
    assert {case["case"]: case["fold"] for case in listed} == {f"case_{n}": n // 3 for n in range(6)}

    apply = ["apply", "--images", raw / "imagesTs", "--nnunet", training, "--model", folder / "model"]
    run([*dam, *apply, "--output", folder / "maps", "--keep_probabilities"], folder)
    assert len(pd.read_csv(folder / "maps" / "summary.csv")) == 2
    for name in ("case_6", "case_7"):
        stored = np.load(folder / "maps" / "probabilities" / f"{name}.npz")["probabilities"].transpose(0, 3, 2, 1)
        found = {part: folder / "maps" / name / f"{name}_{part}.nii.gz" for part in ("seg", "confidence")}
        own = nibabel.load(folder / "maps" / "probabilities" / f"{name}.nii.gz")  # what nnU-Net itself segments
        np.testing.assert_array_equal(np.asarray(nibabel.load(found["seg"]).dataobj), np.asarray(own.dataobj))
        confidence = np.asarray(nibabel.load(found["confidence"]).dataobj)
        assert confidence.shape == stored.shape[1:]
        assert 0 <= confidence.min() <= confidence.max() <= 1 + 1e-6  # the file holds bytes and a scale
        np.testing.assert_allclose(nibabel.load(found["confidence"]).affine, own.affine)


def test_training_without_npz_is_told_in_one_line(folder, tmp_path):
    held = tmp_path / "results" / "fold_0" / "validation"
    held.mkdir(parents=True)
    (held / "case_0.nii.gz").write_bytes(b"")
    raw = folder / "nnUNet_raw" / "Dataset900_Tiny"
    words = ["--images", raw / "imagesTr", "--labels", raw / "labelsTr", "--probabilities", tmp_path / "results"]
    command = [sys.executable, "-m", "dam_components", "confidence", "fit", *words, "--output", tmp_path / "model"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "--val --npz" in done.stderr
