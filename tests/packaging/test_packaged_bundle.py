"""A packaged bundle brings its code, says nothing of this machine, and runs where this package is not."""

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from monai.bundle import ConfigParser, verify_metadata

from dam_components.commands.packaging import package
from dam_components.commands.planning import new_bundle
from dam_components.packaging import packaged_bundle
from dam_components.packaging.needed_code import needed_files, needed_libraries
from dam_components.planning.model_folder import write_model_folder

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests" / "bundle" / "metadata_schema.json"
HEADINGS = [
    *("### **Authors**", "### **Tags**", "## **Model Description**", "## **Data**", "#### **Preprocessing**"),
    *("## **Performance**", "## **Additional Usage Steps**", "## **System Configuration**", "## **Limitations**"),
    *("## **Citation Info**", "## **References**"),
]
TINY = {
    "channels": [4, 4, 4, 4],
    "spacing": [10.0, 10.0, 6.0],
    "patch_size": [16, 16, 16],
    "patches_per_case": 1,
    "epochs": 1,
    "folds": {"fold": 0, "folds": 5, "validation": 1, "seed": 0},
    "label_names": {"1": "bladder", "2": "prostate", "3": "rectum"},
    "device": "cpu",
}
# what the model zoo's tests of a bundle do, where the bundle's folder alone is on the path
ZOO_TEST = """
import json, sys
from pathlib import Path
sys.modules["dam_components"] = None  # an import of it fails
root, patients, output, tiny = Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
sys.path.insert(0, str(root))
from monai.bundle import ConfigWorkflow, ckpt_export
both = {"bundle_root": str(root), "output_dir": output, **tiny}
weights = {"weights": output + "/model.pt", "confidence_weights": output + "/model_confidence.pt"}
train = {**both, "dataset_dir": patients, "ckpt_dir": output}
known = json.loads((root / "configs/inference.json").read_text())
infer = {name: value for name, value in both.items() if name in known}
runs = [
    ("train", ["train.json"], train),
    ("train", ["train.json", "evaluate.json"], {**train, **weights}),
    ("infer", ["inference.json"], {**infer, **weights, "dataset_dir": patients + "/imagesTr"}),
]
for kind, names, entries in runs:
    files = [str(root / "configs" / name) for name in names]
    workflow = ConfigWorkflow(files, workflow_type=kind, **entries)
    workflow.initialize()
    assert workflow.check_properties() == [], names
    workflow.run()
    workflow.finalize()
sizes = {"network_def#channels": tiny["channels"], "network_def#out_channels": 4}
ckpt_export("network_def", filepath=output + "/model.ts", ckpt_file=weights["weights"],
            config_file=files[0], meta_file=str(root / "configs/metadata.json"), **sizes)
"""


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """The shipped bundle."""
    folder = tmp_path_factory.mktemp("zoo") / "models" / "hippocampus_mri_segmentation"
    package(str(ROOT / "bundle"), str(folder), contact="someone@example.org")
    return folder


def imported(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_it_trains_evaluates_infers_and_exports_without_this_package(packaged, patients, tmp_path):
    words = [str(packaged), str(patients), str(tmp_path / "output"), json.dumps(TINY)]
    (tmp_path / "output").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ZOO_TEST, *words], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    names = {file.name for file in (tmp_path / "output").rglob("*")}
    case = "pelvic_001"
    assert {"metrics.csv", "model.ts", f"{case}_seg.nii.gz", f"{case}_confidence.nii.gz"} <= names
    assert not {"scripts", "configs"} & names


def test_the_code_is_what_is_imported_and_no_more(packaged):
    files = [*(packaged / "scripts").rglob("*.py")]
    modules = {module for file in files for module in imported(file)}
    assert not [module for module in modules if module.startswith("dam_")]
    for module in modules:
        if module.startswith("scripts."):
            place = packaged.joinpath(*module.split("."))
            assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), module
    rooms = {file.relative_to(packaged / "scripts").parts[0] for file in files}
    assert not rooms & {"commands", "confidence", "front", "packaging", "review", "synthetic", "baselines", "cli.py"}
    for file in (packaged / "configs").rglob("*.json"):
        assert "dam_components." not in file.read_text(encoding="utf-8"), file


def test_metadata_names_what_is_installed_and_passes_the_schema(packaged):
    file = packaged / "configs" / "metadata.json"
    metadata = json.loads(file.read_text(encoding="utf-8"))
    verify_metadata(meta_file=str(file), filepath=str(SCHEMA))
    assert metadata["contact"] == "someone@example.org"
    assert metadata["required_packages_version"]["pytorch-ignite"]
    assert not {"dam-components", "torch", "monai", "numpy"} & {*metadata["required_packages_version"]}
    assert metadata["version"] in metadata["changelog"]


def test_libraries_are_those_that_the_files_import():
    losses = needed_files(["dam_components.losses.HybridLoss"])
    assert needed_libraries(losses) == {}
    assert {*needed_libraries(losses, ['"TensorBoardStatsHandler"'])} == {"tensorboard"}
    assert "scipy" in needed_libraries(needed_files(["dam_components.metrics.surface_band"]))
    with pytest.raises(ValueError, match=r"no dam_components\.losses\.gone\.Loss"):
        needed_files(["dam_components.losses.gone.Loss"])


def test_the_readme_has_the_headings_of_the_zoo(packaged):
    lines = (packaged / "docs" / "README.md").read_text(encoding="utf-8").splitlines()
    places = [lines.index(heading) for heading in HEADINGS]
    assert places == sorted(places)
    text = "\n".join(lines)
    figures = json.loads((packaged / "configs" / "metadata.json").read_text(encoding="utf-8"))["eval_metrics"]
    for said in (
        f"{figures['dice_anterior']:.4f}",
        "PROMISE12",
        "someone@example.org",
        "ckpt_export",
        "10.1609/aaai.v33i01.33011085",
    ):
        assert said in text
    assert "<!--" not in text
    assert "pip install dam" not in text


@pytest.fixture
def planned(decathlon, tmp_path):
    """A bundle of new_bundle, as dam train leaves it once test cases were evaluated; its parts are made up."""
    folder = tmp_path / "planned"
    new_bundle(str(decathlon), str(folder))
    rows = [{"case": f"case{n}", "label": "block", "region": "whole", "dice": 0.5 + n / 10} for n in range(3)]
    pd.DataFrame(rows).assign(asd_mm=1.0, hd95_mm=[2.0, 3.0, None]).to_csv(folder / "docs" / "metrics.csv", index=False)
    training = {"epochs": 2, "seed": 0, "options": {"part_weights": [str(folder / "a" / "S.pt")]}, "validation": None}
    (folder / "docs" / "training.json").write_text(json.dumps(training))
    (folder / "models" / "model.pt").write_bytes(b"weights")
    return folder


def test_a_planned_bundle_leaves_this_machine_behind(planned, decathlon, tmp_path, capsys):
    package(str(planned), str(tmp_path / "block_mri.zip"), contact="someone@example.org")
    with zipfile.ZipFile(tmp_path / "block_mri.zip") as archive:
        texts = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    assert all(name.startswith("block_mri/") for name in texts)
    assert not [name for name, text in texts.items() if str(tmp_path).encode() in text]
    assert json.loads(texts["block_mri/configs/train.json"])["dataset_dir"] == "/workspace/data/block_mri"
    assert json.loads(texts["block_mri/docs/training.json"])["options"] == {"part_weights": ["S.pt"]}
    metrics = json.loads(texts["block_mri/configs/metadata.json"])["eval_metrics"]
    assert metrics == {"test_cases": 3, "mean_dice": 0.6, "dice_block": 0.6, "asd_mm_block": 1.0, "hd95_mm_block": 2.5}
    readme = texts["block_mri/docs/README.md"].decode()
    assert "| block | 0.6000 | 1.0000 | 2.5000 |" in readme
    assert "![Dice of the test cases](test_cases.png)" in readme
    assert texts["block_mri/docs/test_cases.png"].startswith(b"\x89PNG")
    assert {"block_mri/LICENSE", "block_mri/scripts/__init__.py", "block_mri/models/model.pt"} <= {*texts}
    assert str(tmp_path / "block_mri.zip") in capsys.readouterr().out


def test_large_files_are_listed_and_kept_from_commits(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(packaged_bundle, "LARGEST_BYTES", 300_000)
    (planned / "models" / "model_confidence.pt").write_bytes(b"0" * 300_001)
    with pytest.raises(ValueError, match=r"models/model_confidence\.pt has 0 MB.*--large_files_url"):
        package(str(planned), str(tmp_path / "block"), contact="me")
    assert not (tmp_path / "block").exists()
    package(str(planned), str(tmp_path / "block"), contact="me", large_files_url="https://example.org/files/")
    (entry,) = ConfigParser.load_config_file(tmp_path / "block" / "large_files.yml")["large_files"]
    assert entry["path"] == "models/model_confidence.pt"
    assert entry["url"] == "https://example.org/files/models/model_confidence.pt"
    assert entry["hash_type"] == "sha256"
    assert len(entry["hash_val"]) == 64
    assert (tmp_path / "block" / ".gitignore").read_text() == "/models/model_confidence.pt\n"


def test_the_networks_of_all_folds_are_packaged_each_with_its_own_address(planned, tmp_path, monkeypatch):
    """dam train --folds all leaves an inference.json that averages models/fold0/model.pt and so on."""
    monkeypatch.setattr(packaged_bundle, "LARGEST_BYTES", 300_000)
    paths = [f"models/fold{fold}/model.pt" for fold in range(2)]
    for number, path in enumerate(paths):
        (planned / path).parent.mkdir()
        (planned / path).write_bytes(bytes([number]) * 300_001)
    package(str(planned), str(tmp_path / "block"), contact="me", large_files_url="https://example.org/files")
    for path in paths:
        assert (tmp_path / "block" / path).read_bytes() == (planned / path).read_bytes()
    entries = ConfigParser.load_config_file(tmp_path / "block" / "large_files.yml")["large_files"]
    assert [entry["url"] for entry in entries] == [f"https://example.org/files/{path}" for path in paths]


def test_what_cannot_be_packaged_is_refused(planned, tmp_path):
    with pytest.raises(ValueError, match="names no contact: say with --contact"):
        package(str(planned), str(tmp_path / "block"))
    with pytest.raises(ValueError, match=r"'my-bundle' is no name of a bundle: use letters, digits and _"):
        package(str(planned), str(tmp_path / "my-bundle"), contact="me")
    with pytest.raises(FileExistsError, match="exists: name another place with --output"):
        package(str(planned), str(planned), contact="me")
    with pytest.raises(FileNotFoundError, match="is no bundle"):
        package(str(tmp_path), str(tmp_path / "block"), contact="me")
    (planned / "docs" / "cases.json").write_text(json.dumps({"test": [str(planned / "case0")]}))
    with pytest.raises(ValueError, match=r"docs/cases\.json names .*a place on this machine"):
        package(str(planned), str(tmp_path / "block"), contact="me")
    (planned / "LICENSE").unlink()
    with pytest.raises(FileNotFoundError, match="LICENSE is missing"):
        package(str(planned), str(tmp_path / "block"), contact="me")
    assert not (tmp_path / "block").exists()


def test_untrained_and_private_bundles_say_so(planned, tmp_path, capsys):
    (planned / "models" / "model.pt").unlink()
    file = planned / "configs" / "metadata.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "data_source": "PROMISE12"}))
    package(str(planned), str(tmp_path / "block"), contact="me")
    out = capsys.readouterr().out
    assert "no weights yet" in out
    assert "do not publish the weights: they were trained on PROMISE12" in out
    assert "no weights yet" in (tmp_path / "block" / "docs" / "README.md").read_text(encoding="utf-8")


def test_a_model_trained_from_a_packaged_bundle_takes_the_code_along(packaged, tmp_path):
    entries = ConfigParser.load_config_file(packaged / "configs" / "train.json")
    metadata = json.loads((packaged / "configs" / "metadata.json").read_text(encoding="utf-8"))
    write_model_folder(tmp_path / "model", packaged, entries, {}, metadata, {})
    made = {file.relative_to(packaged) for file in (packaged / "scripts").rglob("*.py")}
    assert made == {file.relative_to(tmp_path / "model") for file in (tmp_path / "model" / "scripts").rglob("*.py")}
    readme = (tmp_path / "model" / "docs" / "README.md").read_text(encoding="utf-8")
    assert "dam-components" not in readme
    assert "calibrate" not in readme
