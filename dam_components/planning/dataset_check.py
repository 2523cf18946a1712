"""All that is wrong with a dataset, before anything is trained on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from dam_components.data.dataset_layouts import SourceDataset
from dam_components.data.finding import Finding
from dam_components.data.image_files import frames_in_time
from dam_components.planning.case_survey import CaseSurvey, survey_case

__all__ = ["LEAST_CASES", "WILD_SPACING", "check_cases", "check_dataset"]

LEAST_CASES = 3  # one each to train, validate and test; fewer all train
WILD_SPACING = 2.0  # the largest spacing of an axis over its smallest, from which on it is worth a look


def check_dataset(dataset: SourceDataset, progress: bool = True) -> tuple[list[CaseSurvey], list[Finding]]:
    """Reads every case and checks it, alone and against the others.

    Args:
        dataset: from :func:`~dam_components.data.dataset_layouts.read_dataset`.
        progress: shows a bar.

    Returns:
        The surveys of the cases without error, and all findings, those of the file list first. A dataset without an
        error among them can be trained on.
    """
    surveys: list[CaseSurvey] = []
    findings = list(dataset.findings)
    for number, case in enumerate(tqdm(dataset.cases, desc="read", unit="case", disable=not progress)):
        survey, found = survey_case(case, number, dataset.label_values, dataset.label_names)
        findings += found
        if survey is not None:
            surveys.append(survey)
    return surveys, findings + check_cases(dataset, surveys)


def check_cases(dataset: SourceDataset, surveys: Sequence[CaseSurvey]) -> list[Finding]:
    """Checks cases against each other and against what the dataset says of itself.

    Errors: no case; another number of channels than stated (or, where nothing states it, than most cases have);
    volumes on an axis of time that nothing names as channels; labels that nothing names; the same image twice.
    Warnings: fewer than three cases, a class that no case holds, spacings that differ by more than a factor of two.
    Smaller differences of spacing are noted: all cases are resampled.
    """
    findings = _check_number(dataset)
    if surveys:
        findings += _check_channels(dataset, surveys)
        findings += (
            _check_numbering(dataset, surveys) if dataset.label_names is None else _check_names(dataset, surveys)
        )
        findings += _check_copies(surveys) + _check_spacings(dataset, surveys)
    return findings


def _check_number(dataset: SourceDataset) -> list[Finding]:
    if len(dataset.cases) >= LEAST_CASES:
        return []
    count = len(dataset.cases)
    what = f"has {count} complete case{'s' if count != 1 else ''}"
    if not count:
        return [Finding("error", str(dataset.folder), what, "a dataset needs labelled cases")]
    remedy = (
        f"all train, and none is left to validate or to test: no figure says how good the model is. Add cases, "
        f"{LEAST_CASES} at least"
    )
    return [Finding("warning", str(dataset.folder), what, remedy)]


def _check_channels(dataset: SourceDataset, surveys: Sequence[CaseSurvey]) -> list[Finding]:
    if dataset.channel_names is None:
        remedy = "if they are channels, name them, as --modality T1,T2,FLAIR; if frames, write a file for each"
        timed = [(survey.image, told) for survey in surveys if (told := _told_in_time(survey))]
        if timed:
            return [
                Finding("error", file, f"holds {told}, by its header, and nothing names channels", remedy)
                for file, told in timed
            ]
        expected = Counter(survey.channels for survey in surveys).most_common(1)[0][0]
        whose, remedy = "most cases have", "give every case the same channels"
    else:
        expected = len(dataset.channel_names)
        whose, remedy = "dataset.json names", "give every case the same channels, or correct dataset.json"
    return [
        Finding("error", survey.image, f"has {survey.channels} channels, {whose} {expected}", remedy)
        for survey in surveys
        if survey.channels != expected
    ]


def _told_in_time(survey: CaseSurvey) -> str | None:
    return frames_in_time(survey.image) if survey.channels > 1 else None


def _check_numbering(dataset: SourceDataset, surveys: Sequence[CaseSurvey]) -> list[Finding]:
    """Labels that nothing names must be 1..N."""
    held = sorted({value for survey in surveys for value in survey.label_voxels if value})
    if not held:
        return [Finding("error", str(dataset.folder), "holds background alone", "label the structures")]
    if held == [*range(1, len(held) + 1)]:
        return []
    what = f"holds the labels {', '.join(map(str, held))}"
    remedy = "number the classes 1..N without gaps, or say which values are classes with --label_values (or all)"
    return [Finding("error", str(dataset.folder), what, remedy)]


def _check_names(dataset: SourceDataset, surveys: Sequence[CaseSurvey]) -> list[Finding]:
    """Each label has a name, and each name is the label of some case."""
    names = dataset.label_names or {}
    files = {case.name: str(case.label) for case in dataset.cases}
    findings = []
    held: set[int] = set()
    for survey in surveys:
        held |= survey.label_voxels.keys()
        if unknown := sorted(survey.label_voxels.keys() - names.keys() - {0}):
            what = f"holds the label {unknown[0]}, dataset.json has {', '.join(map(str, [0, *names]))}"
            remedy = "name the label in dataset.json, or say which values are classes with --label_values (or all)"
            findings.append(Finding("error", files[survey.name], what, remedy))
    for value in (value for value in names if value not in held):
        what = f"names the label {value}, {names[value]}, which no case holds"
        findings.append(Finding("warning", "dataset.json", what, "take it out if no case ever will"))
    return findings


def _check_copies(surveys: Sequence[CaseSurvey]) -> list[Finding]:
    owners: dict[str, list[str]] = defaultdict(list)
    for survey in surveys:
        owners[survey.content].append(survey.image)
    remedy = "leave one out: folds would test what they trained on"
    return [
        Finding("error", other, f"is the same image as {first}", remedy)
        for first, *others in owners.values()
        for other in others
    ]


def _check_spacings(dataset: SourceDataset, surveys: Sequence[CaseSurvey]) -> list[Finding]:
    spacings = np.array([survey.spacing_mm for survey in surveys])
    low, high = spacings.min(0), spacings.max(0)
    if (high <= 1.001 * low).all():
        return []
    span = " x ".join(f"{a:.4g}-{b:.4g}" for a, b in zip(low, high, strict=True))
    axis = int(np.argmax(high / low))
    wild = high[axis] > WILD_SPACING * low[axis]
    ends = (surveys[int(pick(spacings[:, axis]))].image for pick in (np.argmin, np.argmax))
    what = f"has spacings of {span} mm (right, front, head); the ends are {next(ends)} and {next(ends)}"
    remedy = "check that these are of one kind; all cases are resampled to one spacing" if wild else "all are resampled"
    return [Finding("warning" if wild else "note", str(dataset.folder), what, remedy)]
