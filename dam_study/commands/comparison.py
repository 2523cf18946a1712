"""The ``compare`` command: two ways of training, from the metrics of their evaluations."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dam_components.atomic_files import write_whole
from dam_components.confidence.evidence_table import markdown_table
from dam_components.metrics.case_table import read_cases_csv
from dam_study.statistics.significance import paired_difference

__all__ = ["compare", "compare_tables"]

METRICS = ("dice", "asd_mm", "hd95_mm")


def compare(
    ours: str | Sequence[str],
    reference: str | Sequence[str],
    output: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> None:
    """Compares two ways of training on the same test cases, each by the metrics.csv of one or more seeds.

    Seeds are averaged within a case; then cases are the unit of the 95 % bootstrap interval, of Wilcoxon's signed-rank
    test and of the sign-flip permutation test. Prints a row a class and metric, the classes' mean Dice first.

    Args:
        ours: metrics.csv files that evaluate.json wrote, a seed each, separated by commas.
        reference: the other way's, as many or more.
        output: also writes the table here, as CSV.
        resamples: of the bootstrap.
        seed: of the bootstrap and the permutations.
    """
    table = compare_tables(_read(ours), _read(reference), resamples, seed)
    if output is not None:
        write_whole(output, table.to_csv(index=False))
    print(markdown_table(table))


def compare_tables(
    ours: Sequence[pd.DataFrame], reference: Sequence[pd.DataFrame], resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """A row a class and metric: both means, the standard deviation of each over seeds, and the paired difference.

    Args:
        ours: one table a seed: ``case``, ``label``, ``region`` and the metrics.
        reference: likewise.
        resamples: of the bootstrap.
        seed: of the bootstrap and the permutations.

    Raises:
        ValueError: if the tables do not hold the same cases and classes.
    """
    sides = [pd.concat([_whole(table).assign(run=run) for run, table in enumerate(side)]) for side in (ours, reference)]
    groups = [set(map(tuple, side[["case", "label"]].drop_duplicates().to_numpy())) for side in sides]
    if different := sorted(groups[0] ^ groups[1]):
        raise ValueError(
            f"both sides must have the same cases and classes, {len(different)} are in one only, such as "
            f"{' '.join(different[0])}: evaluate both on one fold"
        )
    rows = []
    for label in dict.fromkeys(sides[0]["label"]):
        for metric in METRICS if label != "mean" else METRICS[:1]:
            parts = [side[side["label"] == label] for side in sides]
            runs = [part.groupby("run")[metric].mean() for part in parts]
            a, b = (part.groupby("case")[metric].mean() for part in parts)
            defined = a.index[a.notna() & b.loc[a.index].notna()]  # a distance to an empty mask is none: cases tells
            a, b = a.loc[defined], b.loc[defined]
            found = paired_difference(a.to_numpy(), b.loc[a.index].to_numpy(), resamples=resamples, seed=seed)
            rows.append(
                {
                    "label": label,
                    "metric": metric,
                    "ours": a.mean(),
                    "sd over seeds": runs[0].std(),
                    "reference": b.mean(),
                    "its sd over seeds": runs[1].std(),
                    "difference": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "wilcoxon p": found.wilcoxon_p,
                    "permutation p": found.permutation_p,
                    "cases": found.cases,
                    "seeds": f"{len(ours)} and {len(reference)}",
                }
            )
    return pd.DataFrame(rows)


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of whole classes, those of their mean in front."""
    whole = table[table["region"] == "whole"]
    mean = whole.groupby("case", sort=False, as_index=False)["dice"].mean().assign(label="mean")
    return pd.concat([mean, whole])


def _check_rows(table: pd.DataFrame) -> None:
    """Each case, class and region once, each with a Dice. A distance may be undefined: of an empty mask it is."""
    doubled = table[table.duplicated(["case", "label", "region"])]
    if len(doubled):
        row = doubled.iloc[0]
        raise ValueError(f"it has the row {row['case']}, {row['label']}, {row['region']} twice")
    numbers = pd.to_numeric(table["dice"], errors="coerce")
    if not numbers.between(0, 1).all():
        row = table[~numbers.between(0, 1)].iloc[0]
        raise ValueError(f"the Dice of {row['case']}, {row['label']} is {row['dice']}")


def _read(files: str | Sequence[str]) -> list[pd.DataFrame]:
    names = files.split(",") if isinstance(files, str) else [str(name) for name in files]
    tables = []
    for name in names:
        try:
            table = read_cases_csv(name)
            if missing := {"case", "label", "region", *METRICS} - {*table.columns}:
                raise ValueError(f"it lacks the columns {', '.join(sorted(missing))}")
            _check_rows(table)
        except FileNotFoundError:
            raise FileNotFoundError(f"no metrics at {name}: run evaluate.json, which writes metrics.csv") from None
        except ValueError as error:
            raise ValueError(f"{name} is no metrics.csv of evaluate.json ({error}); evaluate again") from None
        tables.append(table)
    return tables
