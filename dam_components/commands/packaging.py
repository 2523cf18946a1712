"""The ``package`` command: a bundle with its own code, for the model zoo or for another machine."""

from __future__ import annotations

import json
from pathlib import Path

from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.packaging.packaged_bundle import package_bundle
from dam_components.packaging.zoo_readme import keep_private

__all__ = ["package"]


def package(
    bundle: str,
    output: str,
    contact: str | None = None,
    large_files_url: str | None = None,
) -> None:
    """Makes a bundle into a folder or zip file that needs MONAI and its libraries, but not dam-components.

    Its code lies in scripts/. The layout, metadata.json and docs/README.md are those that MONAI's model zoo asks for.
    The bundle may be the shipped one, one of new_bundle, or a model's folder that train left; it stays as it is.

    Args:
        bundle: the folder with configs/train.json.
        output: a new folder, or a file that ends in .zip; its name becomes the bundle's.
        contact: whom users of the model can ask, an address or a page; by default what metadata.json says.
        large_files_url: the address of the folder where you will publish files over 25 MB, under their paths in the
            bundle; large_files.yml names it.

    Raises:
        FileExistsError: output exists.
        FileNotFoundError: the folder is no bundle.
        ValueError: no contact, a name that the model zoo does not take, or large files without an address.
    """
    source, target = bundle_folder(bundle), Path(output).absolute()
    described = source / "configs" / "metadata.json"
    metadata = json.loads(described.read_text(encoding="utf-8"))
    asked = contact or metadata.get("contact")
    if not asked:
        raise ValueError(f"{described} names no contact: say with --contact whom users can ask")
    large = package_bundle(source, target, asked, large_files_url)
    print(f"wrote {target}; its docs/README.md has the commands")
    for path in large:
        print(f"publish {path}, under this path, at {large_files_url}: the model zoo takes no file over 25 MB")
    if not (source / "models" / "model.pt").is_file():
        print("the bundle has no weights yet: the model zoo's check refuses it until it is trained")
    if private := keep_private(metadata):
        print(f"do not publish the weights: they were trained on {', '.join(private)}")
