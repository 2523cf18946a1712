"""All that is wrong with a dataset, before anything is trained on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from dam_components.data.dataset_layouts import SourceDataset
from dam_components.data.finding import Finding
from dam_components.planning.case_survey import CaseSurvey, survey_case

__all__ = ["LEAST_CASES", "WILD_SPACING", "check_cases", "check_dataset"]

LEAST_CASES = 3  # one each to train, validate and test
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
        survey, found = survey_case(case, seed=number)
        findings += found
        if survey is not None:
            surveys.append(survey)
    return surveys, findings + check_cases(dataset, surveys)


def check_cases(dataset: SourceDataset, surveys: Sequence[CaseSurvey]) -> list[Finding]:
    """Checks cases against each other and against what the dataset says of itself.

    Errors: fewer than three cases, another number of channels than stated (or, where nothing states it, than most
    cases have), labels that nothing names, the same image twice. Warnings: a class that no case holds, spacings that
    differ by more than a factor of two. Smaller differences of spacing are noted: all cases are resampled.
    """
    findings: list[Finding] = []

    def error(where: object, what: str, remedy: str) -> None:
        findings.append(Finding("error", str(where), what, remedy))

    if len(dataset.cases) < LEAST_CASES:
        remedy = "a dataset needs at least 3 labelled cases, to train, validate and test"
        error(dataset.folder, f"has {len(dataset.cases)} complete cases", remedy)
    if not surveys:
        return findings
    by_name = {case.name: case for case in dataset.cases}

    counts = Counter(survey.channels for survey in surveys)
    stated = dataset.channel_names is not None
    expected = len(dataset.channel_names) if dataset.channel_names is not None else counts.most_common(1)[0][0]
    for survey in surveys:
        if survey.channels != expected:
            whose = "dataset.json names" if stated else "most cases have"
            remedy = "give every case the same channels" + (", or correct dataset.json" if stated else "")
            error(survey.image, f"has {survey.channels} channels, {whose} {expected}", remedy)

    held = Counter(value for survey in surveys for value in survey.label_voxels if value)
    known = dataset.label_names
    if known is None:
        if sorted(held) != [*range(1, len(held) + 1)] or not held:
            what = f"holds the labels {', '.join(map(str, sorted(held)))}" if held else "holds background alone"
            error(dataset.folder, what, "number the classes 1..N without gaps" if held else "label the structures")
    else:
        for survey in surveys:
            if unknown := [value for value in survey.label_voxels if value and value not in known]:
                what = f"holds the label {unknown[0]}, dataset.json has {', '.join(map(str, [0, *known]))}"
                error(by_name[survey.name].label, what, "relabel it, or name the label in dataset.json")
        for value, name in known.items():
            if not held[value]:
                what = f"names the label {value}, {name}, which no case holds"
                findings.append(Finding("warning", "dataset.json", what, "take it out if no case ever will"))

    owners: dict[str, list[CaseSurvey]] = defaultdict(list)
    for survey in surveys:
        owners[survey.content].append(survey)
    for first, *others in owners.values():
        for other in others:
            what = f"is the same image as {first.image}"
            error(other.image, what, "leave one out: folds would test what they trained on")
    return findings + _spacings(dataset, surveys)


def _spacings(dataset: SourceDataset, surveys: Sequence[CaseSurvey]) -> list[Finding]:
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
