"""The ``synthesize`` command."""

from __future__ import annotations

from collections.abc import Sequence

from dam_components.synthetic import write_pelvic_dataset

__all__ = ["synthesize"]


def synthesize(
    output: str,
    cases: int = 50,
    seed: int = 0,
    shape: Sequence[int] = (256, 256, 120),
    spacing: Sequence[float] | None = None,
) -> None:
    """Writes synthetic labelled pelvic MRI (bladder, prostate, rectum) in the Medical Segmentation Decathlon's layout.

    Train on it with ``bundle/configs/tasks/pelvic.json`` and ``--dataset_dir OUTPUT``.

    Args:
        output: folder, made if missing.
        cases: how many volumes; the paper has 50 patients.
        seed: of the whole dataset.
        shape: voxels, "[x,y,z]".
        spacing: voxel size in mm, "[x,y,z]"; by default one that shows the whole pelvis.
    """
    folder = write_pelvic_dataset(str(output), cases, seed, shape, spacing)
    print(f"{cases} cases: {folder / 'dataset.json'}")
