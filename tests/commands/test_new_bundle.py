"""A dataset in, a bundle out that MONAI's tools accept and that trains; or a list of faults and no bundle."""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser, ConfigWorkflow, verify_metadata, verify_net_in_out

from dam_components.commands import planning
from dam_components.commands.planning import new_bundle
from dam_components.planning.model_configs import OVERLAYS

SCHEMA = Path(__file__).parents[1] / "bundle" / "metadata_schema.json"
SHAPE = (24, 24, 8)


def write_case(images, label, seed, spacing=(2, 2, 7)):
    """Noise with a bright block, and the block."""
    draw = np.random.default_rng(seed)
    block = np.zeros(SHAPE, np.uint8)
    block[6:16, 8:18, 2:6] = 1
    block[8:12, 10:14, 3:5] = 2
    for file in (*images, label):
        voxels = block if file == label else (draw.normal(0, 10, SHAPE) + 50 * block).astype(np.float32)
        file.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(voxels, np.diag([*spacing, 1])), file)


@pytest.fixture(scope="module")
def two_channels(tmp_path_factory):
    """nnU-Net's layout: 5 cases, T1 and T2, 2 mm in plane, 7 mm slices."""
    folder = tmp_path_factory.mktemp("nnunet")
    for number in range(5):
        images = [folder / "imagesTr" / f"c{number}_{channel:04d}.nii.gz" for channel in range(2)]
        write_case(images, folder / "labelsTr" / f"c{number}.nii.gz", number)
    labels = {"background": 0, "left part": 1, "core": 2}
    index = {"name": "Two", "channel_names": {"0": "T1", "1": "T2"}, "labels": labels, "numTraining": 5}
    (folder / "dataset.json").write_text(json.dumps({**index, "file_ending": ".nii.gz"}))
    return folder


@pytest.fixture(scope="module")
def made(two_channels, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "bundle"
    new_bundle(str(two_channels), str(output))
    return output


@pytest.fixture
def ct_folders(tmp_path):
    for number in range(3):
        write_case([tmp_path / "ct" / f"{number}.nii.gz"], tmp_path / "masks" / f"{number}.nii.gz", number)
    return tmp_path


def read(bundle, name):
    return json.loads((bundle / "configs" / name).read_text(encoding="utf-8"))


def test_the_plan_stands_in_the_configurations(made):
    train, inference = read(made, "train.json"), read(made, "inference.json")
    for config in (train, inference):
        assert config["image_channels"] == 2
        assert config["label_names"] == {"1": "left part", "2": "core"}
        assert config["dataset_dir"] == "$@bundle_root + '/data'"
        assert config["spacing"] == [2, 2, 7]  # 7 > 3 x 2, but 8 slices are not less than a third of 24: the median
        # 7 > 2 x 2, then 7 <= 2 x 4; that leaves 6 x 6 x 4, and half of 6 is under 4
        assert config["strides"] == [[2, 2, 1], 2]
        assert config["patch_size"] == [24, 24, 8]
        assert config["channels"] == [16, 32, 64]
        assert config["largest_component"] == [1, 2]  # blocks, each in one piece
    assert train["keep_last"]  # one case validates: the last weights are kept
    assert train["folds"] == {"fold": 0, "folds": 5, "validation": 2, "seed": 0}
    assert not train["flip"]  # a label has a side
    assert not (made / "configs" / "flips.json").exists()
    assert all((made / "configs" / name).is_file() for name in OVERLAYS)
    assert (made / "LICENSE").is_file()
    assert not [*(made / "models").iterdir()]
    assert "[2, 2, 1]" in (made / "configs" / "train.json").read_text()  # reads as the project's own


def test_the_list_of_cases_names_the_files_where_they_are(made, two_channels):
    index = json.loads((made / "data" / "dataset.json").read_text())
    assert len(index["training"]) == 5
    images = [str(two_channels / "imagesTr" / f"c0_000{channel}.nii.gz") for channel in range(2)]
    label = str(two_channels / "labelsTr" / "c0.nii.gz")
    assert index["training"][0] == {"image": images, "label": label, "case": "c0"}


def test_metadata(made):
    verify_metadata(meta_file=str(made / "configs" / "metadata.json"), filepath=str(SCHEMA))
    metadata = read(made, "metadata.json")
    image = metadata["network_data_format"]["inputs"]["image"]
    pred = metadata["network_data_format"]["outputs"]["pred"]
    assert (image["num_channels"], image["channel_def"]) == (2, {"0": "T1", "1": "T2"})
    assert pred["channel_def"] == {"0": "background", "1": "left part", "2": "core"}
    assert image["spatial_shape"] == pred["spatial_shape"] == [24, 24, 8]
    assert pred["num_channels"] == 3
    assert "eval_metrics" not in metadata
    assert not any("ippocampus" in text for text in (json.dumps(metadata), (made / "docs" / "README.md").read_text()))


@pytest.mark.parametrize("name", ["train.json", "inference.json"])
def test_networks_take_and_give_what_the_metadata_say(made, name):
    configs = made / "configs"
    verify_net_in_out(
        "network_def", meta_file=str(configs / "metadata.json"), config_file=str(configs / name), device="cpu"
    )


def test_it_trains_evaluates_and_infers(made, two_channels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", [*sys.path])
    models = tmp_path / "models"
    weights = {"weights": str(models / "model.pt"), "confidence_weights": str(models / "model_confidence.pt")}
    common = {"channels": [4, 4, 4], "output_dir": str(tmp_path / "output")}

    def run(kind, *names, **overrides):
        files = [str(made / "configs" / name) for name in names]
        root = {"bundle_root": str(made)}
        workflow = ConfigWorkflow(files, workflow_type=kind, logging_file=False, **root, **common, **overrides)
        workflow.initialize()
        assert workflow.check_properties() == []
        workflow.run()
        workflow.finalize()

    run("train", "train.json", ckpt_dir=str(models), epochs=1, val_interval=1)
    assert sorted(file.name for file in models.iterdir()) == ["model.pt", "model_confidence.pt"]
    run("train", "train.json", "evaluate.json", **weights)
    assert "core" in (tmp_path / "output" / "metrics.csv").read_text()
    run("infer", "inference.json", **weights)
    assert len([*(tmp_path / "output").rglob("*_seg.nii.gz")]) == 5


def test_a_pair_of_folders_of_ct(ct_folders, tmp_path, capsys):
    output = tmp_path / "bundle"
    new_bundle(
        str(ct_folders), str(output), "ct", "masks", modality="CT", label_names={1: "organ", 2: "tumour"}, cache_gb=1e-5
    )
    train, inference = read(output, "train.json"), read(output, "inference.json")
    assert train["label_names"] == {"1": "organ", "2": "tumour"}
    scale = train["intensity"]
    assert scale == inference["intensity"]
    assert scale["_target_"] == "ScaleIntensityRanged"
    assert scale["clip"]
    report = json.loads((output / "docs" / "data_report.json").read_text())
    ct = report["plan"]["ct"]
    assert (scale["a_min"], scale["a_max"]) == (ct["low"], ct["high"])
    assert scale["b_min"] == pytest.approx((ct["low"] - ct["mean"]) / ct["sd"], abs=1e-6)
    # spoilt images keep their units too
    parser = ConfigParser()
    parser.read_config([str(output / "configs" / name) for name in ("train.json", "train_confidence.json")])
    spoiling = parser.get_parsed_content("train#spoiling_transforms")
    assert len(spoiling) == 3
    assert "NormalizeIntensityd" not in [type(step).__name__ for step in spoiling]
    # 24 x 24 x 8 x 4 bytes x 2 = 36.9 kB a case, three of them: 10 kB hold 0.09 of that
    assert train["cache_rate"] == 0.09
    image = read(output, "metadata.json")["network_data_format"]["inputs"]["image"]
    assert (image["format"], image["modality"]) == ("hounsfield", "CT")
    parser = ConfigParser()
    parser.read_config(str(output / "configs" / "train.json"))
    # the block's mean is 50 or 100: its voxels are within a few deviations of 0 after the transform
    item = parser.get_parsed_content("train#preprocessing_transforms")[-1]({"image": np.full((1, 2, 2, 2), ct["mean"])})
    assert float(item["image"].max()) == pytest.approx(0, abs=1e-5)
    said = capsys.readouterr().out
    assert f"wrote {output}" in said
    assert "the patch is for a CPU: at most 65536 voxels" in said
    assert read(output, "flips.json")


def test_names_are_made_up_where_nothing_gives_them(ct_folders, tmp_path):
    new_bundle(str(ct_folders), str(tmp_path / "bundle"), images="ct", labels="masks", patch_voxels=4096)
    train = read(tmp_path / "bundle", "train.json")
    assert train["label_names"] == {"1": "label 1", "2": "label 2"}
    assert np.prod(train["patch_size"]) <= 4096 < np.prod(SHAPE)
    assert "ScaleIntensityRanged" not in json.dumps(train)


def test_on_a_gpu_the_plan_has_larger_patches_unless_told(ct_folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(planning, "window_budget", lambda classes: (10_000 * classes, "Card with 24 GB"))
    new_bundle(str(ct_folders), str(tmp_path / "gpu"), images="ct", labels="masks")
    assert "the patch is for Card with 24 GB: at most 30000 voxels" in capsys.readouterr().out
    new_bundle(str(ct_folders), str(tmp_path / "told"), images="ct", labels="masks", patch_voxels=4096)
    assert "the patch is for --patch_voxels: at most 4096 voxels" in capsys.readouterr().out
    large, small = (np.prod(read(tmp_path / name, "train.json")["patch_size"]) for name in ("gpu", "told"))
    assert small <= 4096 < large <= 30_000


def test_where_a_patch_shows_too_little_of_an_image_the_grid_is_coarser_and_the_report_says_so(tmp_path, capsys):
    ball = np.linalg.norm(np.indices((60, 60, 32)).T * [1, 1, 1.5] - [28, 30, 24], axis=-1).T < 20
    for number in range(3):
        image = np.random.default_rng(number).normal(100, 10, ball.shape).astype(np.float32)
        for folder, voxels in (("ct", image), ("masks", ball.astype(np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, np.diag([1, 1, 1.5, 1])), tmp_path / folder / f"{number}.nii.gz")
    said = "The grid is coarser than the images' 1 x 1 x 1.5 mm, so that a patch shows enough of an image"
    for patch_voxels, spacing in ((20_000, [1.2, 1.2, 1.5]), (30_000, [1, 1, 1.5])):
        output = tmp_path / f"bundle{patch_voxels}"
        new_bundle(str(tmp_path), str(output), images="ct", labels="masks", patch_voxels=patch_voxels)
        assert read(output, "train.json")["spacing"] == read(output, "inference.json")["spacing"] == spacing
        for text in (capsys.readouterr().out, (output / "docs" / "data_report.md").read_text(encoding="utf-8")):
            assert (said in text) == (spacing[0] > 1)


def test_all_faults_are_printed_and_no_bundle_is_written(ct_folders, tmp_path, capsys):
    (tmp_path / "masks" / "1.nii.gz").unlink()
    write_case([tmp_path / "ct" / "2.nii.gz"], tmp_path / "masks" / "2.nii.gz", 0)  # the same as 0
    with pytest.raises(ValueError, match="has 2 errors, listed above: correct them; no bundle written"):
        new_bundle(str(ct_folders), str(tmp_path / "bundle"), images="ct", labels="masks")
    printed = capsys.readouterr().out
    assert printed.count("error: ") == 2  # no label; twice the same
    assert "warning: " in printed  # two complete cases
    assert "1.nii.gz has no label" in printed
    assert "is the same image as" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct", "masks"]


def test_an_existing_folder_is_refused(ct_folders, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="there exists: name another folder with --output, or remove it"):
        new_bundle(str(ct_folders), str(tmp_path / "there"), images="ct", labels="masks")


@pytest.mark.parametrize("names", [{2: "a"}, {}])
def test_label_names_are_numbered_from_1(ct_folders, tmp_path, names):
    with pytest.raises(ValueError, match=r"label_names must name the labels 1..N without gaps, got \{"):
        new_bundle(str(ct_folders), str(tmp_path / "b"), images="ct", labels="masks", label_names=names)


def test_the_bundle_to_copy_can_be_named(ct_folders, tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere is no bundle: it has no configs/train.json"):
        new_bundle(
            str(ct_folders), str(tmp_path / "b"), images="ct", labels="masks", bundle=str(tmp_path / "elsewhere")
        )
