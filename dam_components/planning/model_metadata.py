"""What a model's folder says of itself: MONAI's metadata, and where the model comes from."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dam_components import __version__

__all__ = ["made_by", "model_metadata"]

LIBRARIES = ("torch", "monai", "pytorch-ignite", "numpy")


def model_metadata(
    pattern: Mapping[str, Any],
    name: str,
    licence: str,
    channel_names: Sequence[str],
    label_names: Mapping[str, str],
    patch_size: Sequence[int],
    ct: bool,
    change: str,
) -> dict[str, Any]:
    """``metadata.json`` of a model: what its networks take and give, in words and numbers.

    Args:
        pattern: the metadata of another model of this package. Its figures are left out.
        name: of the dataset.
        licence: of the dataset, or "".
        channel_names: of the image.
        label_names: by index as text, from 1.
        patch_size: voxels of a patch.
        ct: whether intensities have CT's fixed scale.
        change: what the changelog says.
    """
    labels = {"0": "background", **label_names}
    channels, structures = ", ".join(channel_names), ", ".join(label_names.values())
    scale = "clipped and normalised by the structures' mean and standard deviation"
    image_format = {"format": "hounsfield" if ct else "magnitude", "modality": "CT" if ct else channels}
    formats = pattern["network_data_format"]
    shape = {"spatial_shape": [*patch_size]}
    image = {**formats["inputs"]["image"], **image_format, **shape, "num_channels": len(channel_names)}
    pred = {**formats["outputs"]["pred"], **shape, "num_channels": len(labels), "channel_def": labels}
    image["channel_def"] = {str(number): channel for number, channel in enumerate(channel_names)}
    judged = {
        "format": "raw",
        "num_channels": len(labels) + len(channel_names),
        "channel_def": {str(number): seen for number, seen in enumerate([*labels.values(), *channel_names])},
    }
    confidence = {"format": "raw", "num_channels": 1, "channel_def": {"0": "confidence"}}
    return {
        **{key: value for key, value in pattern.items() if key not in ("eval_metrics", "contact")},
        "version": "0.1.0",
        "changelog": {"0.1.0": change},
        "name": f"Difficulty-aware {name} segmentation",
        "task": f"Segmentation of {structures} in {channels} with a confidence map",
        "data_source": name + (f", {licence}" if licence else ""),
        "data_type": "what MONAI reads: NIfTI; MetaImage and DICOM series with ITK",
        "image_classes": f"{len(channel_names)} channels ({channels}), "
        + (scale if ct else "normalised to zero mean and unit variance"),
        "label_classes": ", ".join(f"{value} {label}" for value, label in labels.items()),
        "pred_classes": f"{len(labels)} channels: {', '.join(labels.values())}",
        "network_data_format": {
            "inputs": {**formats["inputs"], "image": image},
            "outputs": {**formats["outputs"], "pred": pred},
        },
        "confidence_network_data_format": {
            "inputs": {"probabilities_and_image": {**image, **judged}},
            "outputs": {"confidence": {**pred, **confidence}},
        },
    }


def made_by() -> dict[str, Any]:
    """Versions of this package and of the libraries that decide on numbers, and this package's commit.

    The commit is that of the Git checkout or of the repository that the package was installed from; ``None`` where
    neither is known. A checkout with changes of its own is marked.
    """
    return {
        "libraries": {"dam-components": __version__, **{name: _version(name) for name in LIBRARIES}},
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if (root / ".git").exists():  # the package lies in its own checkout, not in an environment within another one
        commit = _git(root, "rev-parse", "HEAD")
        return commit and commit + (" with changes" if _git(root, "status", "--porcelain", "-uno") else "")
    try:
        origin = Distribution.from_name("dam-components").read_text("direct_url.json") or "{}"
    except PackageNotFoundError:
        return None
    return json.loads(origin).get("vcs_info", {}).get("commit_id")


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
