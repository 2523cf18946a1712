"""The ``new_bundle`` command: from a folder of labelled images to a bundle that trains on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dam_components.commands.bundle_jobs import bundle_folder
from dam_components.confidence.trained_bundle import comma_words
from dam_components.data.dataset_layouts import SourceDataset, read_dataset
from dam_components.data.finding import at_level, first_names, summary_lines
from dam_components.planning.case_survey import CaseSurvey
from dam_components.planning.coarser_grid import plan_spacing
from dam_components.planning.data_report import grid_note, of_patients
from dam_components.planning.dataset_check import check_dataset
from dam_components.planning.fingerprint import Fingerprint, make_fingerprint
from dam_components.planning.label_files import use_label_values
from dam_components.planning.plan import Plan, make_plan
from dam_components.planning.planned_bundle import write_planned_bundle
from dam_components.planning.window_budget import window_budget

__all__ = ["name_by_user", "named_fingerprint", "new_bundle"]


def new_bundle(
    data: str,
    output: str,
    images: str | None = None,
    labels: str | None = None,
    modality: str | Sequence[str] | None = None,
    label_names: Mapping[int, str] | None = None,
    label_values: str | None = None,
    patch_voxels: int | None = None,
    cache_gb: float = 8.0,
    crop_nonzero: bool | None = None,
    bundle: str | None = None,
) -> None:
    """Checks a labelled dataset, plans the training for it and writes a bundle that trains at once.

    The dataset has a dataset.json (Medical Segmentation Decathlon or nnU-Net v2), is two folders with files of equal
    names, or has labels beside images (X_seg beside X), a folder a case, BIDS derivatives or a file a structure. The
    rules of the plan are in dam_components/planning/plan.py. Images stay where and as they are.

    Args:
        data: the dataset's folder.
        output: the new bundle; must not exist.
        images: folder of the images, from data, where there is no dataset.json; NIfTI, MetaImage or DICOM series.
        labels: folder of their labels, likewise.
        modality: CT, MR, ..., or a name for each channel, T1,T2,FLAIR; by default what dataset.json says. CT is
            normalised by fixed units.
        label_names: '{1: "liver", 2: "tumour"}'; by default what dataset.json says.
        label_values: the values of each class in the label files, '{liver: 5, kidneys: [2, 3]}'; the others are then
            background. 'all' makes each value a class. The bundle gets label files of its own.
        patch_voxels: most voxels of a training patch; by default 65536, and on a GPU what fits, up to 2000000.
        cache_gb: memory for prepared cases.
        crop_nonzero: crop to the box of what is not 0, and normalise in it; by default where that leaves less than
            three quarters of the median case, and never for CT.
        bundle: the bundle whose configurations are taken; by default the project's.

    Raises:
        FileExistsError: output exists.
        FileNotFoundError: there is no such dataset.
        ValueError: the data have errors (all are printed), or a setting is out of range.
    """
    source, target = bundle_folder(bundle), Path(str(output)).absolute()
    if target.exists():
        raise FileExistsError(f"{target} exists: name another folder with --output, or remove it")
    dataset = read_dataset(str(data), images, labels)
    use_label_values(dataset, label_values)
    name_by_user(dataset, modality, label_names)
    surveys, findings = check_dataset(dataset)
    print(*summary_lines(findings), sep="\n", end="\n" if findings else "")
    if errors := at_level(findings, "error"):
        raise ValueError(f"{dataset.folder} has {len(errors)} errors, listed above: correct them; no bundle written")
    fingerprint = named_fingerprint(dataset, surveys)
    machine = "--patch_voxels"
    if patch_voxels is None:
        patch_voxels, machine = window_budget(len(fingerprint.label_names) + 1)
    spacing = plan_spacing(dataset, fingerprint, patch_voxels, crop_nonzero)
    plan = make_plan(fingerprint, patch_voxels, cache_gb, crop_nonzero, dataset.patients, spacing)
    write_planned_bundle(target, source, dataset, fingerprint, plan, findings)
    cases = f"{fingerprint.cases} case{'s' if fingerprint.cases > 1 else ''}{of_patients(dataset)}"
    print(f"{cases}, labels: {', '.join(fingerprint.label_names.values())}\n{plan_line(plan)}")
    print(f"the patch is for {machine}: at most {patch_voxels} voxels")
    if note := grid_note(fingerprint, plan):
        print(note)
    print(
        f"wrote {target}; the whole plan is in its docs/data_report.md; train it with\n"
        f"  python -m monai.bundle run --config_file {target / 'configs' / 'train.json'}"
    )


def plan_line(plan: Plan) -> str:
    """The plan's first numbers."""
    spacing, patch = (" x ".join(f"{size:g}" for size in sizes) for sizes in (plan.spacing, plan.patch_size))
    split = f"fold {plan.folds['fold']} of {plan.folds['folds']} is the test, {plan.folds['validation']} cases validate"
    return f"spacing {spacing} mm, patch {patch} voxels, {plan.epochs} epochs; {split}"


def name_by_user(
    dataset: SourceDataset, modality: str | Sequence[str] | None, label_names: Mapping[int, str] | None
) -> None:
    """What the options say goes before what ``dataset.json`` says."""
    if label_names is not None:
        try:
            names = {int(value): str(name) for value, name in dict(label_names).items()}
        except (TypeError, ValueError):
            names = {}
        if sorted(names) != [*range(1, len(names) + 1)] or not names:
            raise ValueError(
                f"label_names must name the labels 1..N without gaps, got {label_names}; for example {{1: 'liver'}}"
            )
        files = sorted({name for case in dataset.cases for name, _ in case.structures})
        if files and (unknown := [name for name in names.values() if name not in files]):
            raise ValueError(
                f"label_names names {', '.join(unknown)}, and no case in {dataset.folder} has such a file; there are "
                f"{first_names(files)}"
            )
        dataset.label_names = dict(sorted(names.items()))
        dataset.findings = [finding for finding in dataset.findings if finding.where != "dataset.json"]
    if modality is not None:
        given = comma_words(modality)
        named = dataset.channel_names
        dataset.channel_names = given if len(given) > 1 else given * (len(named) if named else 1)


def named_fingerprint(dataset: SourceDataset, surveys: list[CaseSurvey]) -> Fingerprint:
    """With names made up for what nothing names."""
    found = {value for survey in surveys for value in survey.label_voxels if value}
    labels = dataset.label_names or {value: f"label {value}" for value in sorted(found)}
    channels = dataset.channel_names or [f"channel {number}" for number in range(surveys[0].channels)]
    return make_fingerprint(surveys, channels, labels)
